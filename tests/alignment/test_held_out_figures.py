"""The figures of held-out clips, by hand."""

from __future__ import annotations

import math

import pytest

from savi.alignment.held_out import HeldOutReply
from savi.alignment.held_out_figures import held_out_figures, held_out_metrics


def said(clip: str, question: str, reply: str, agreement: float, found_right: bool | None = True) -> HeldOutReply:
    return HeldOutReply(
        clip, question, reply, tokens=len(reply), malformed=not reply, agreement=agreement, found_right=found_right
    )


BASE = [said("a", "1", "cat", 0.5), said("a", "2", "dog", 0.5, None), said("b", "1", "bird", 0.0, False)]


def test_means_count_the_questions_that_have_the_figure() -> None:
    figures = held_out_figures(BASE, None)
    assert (figures["clips"], figures["questions"], figures["labelled"]) == (2, 3, 0)
    assert figures["agreement"]["mean"] == pytest.approx(1 / 3)
    assert (figures["found_right"]["mean"], figures["found_right"]["of"]) == (0.5, 2)
    assert figures["different"] == 1
    assert "right" not in figures
    assert "change" not in figures["agreement"]


def test_changes_are_paired_by_question_with_an_interval_over_clips() -> None:
    after = [said("a", "1", "cat", 1.0), said("a", "2", "dog", 0.5), said("b", "1", "bird", 0.0)]
    figure = held_out_figures(after, BASE)["agreement"]
    assert figure["change"] == pytest.approx(1 / 6)
    # The changes of clip a are 1/2 and 0, that of b is 0: each less the mean, summed by clip, and a third of it.
    half = 1.959964 * math.sqrt(((1 / 2 - 2 / 6) / 3) ** 2 + (-1 / 6 / 3) ** 2)
    assert figure["change_interval"] == pytest.approx([1 / 6 - half, 1 / 6 + half])
    # A question whose critique had no verdict before has no change.
    assert held_out_figures(after, BASE)["found_right"]["change"] == pytest.approx(0.5)


def test_a_model_that_says_the_same_to_everything_gains_in_agreement_and_loses_different_replies() -> None:
    collapsed = [said(one.clip, one.question, "cat", 1.0) for one in BASE]
    figures = held_out_figures(collapsed, BASE)
    assert figures["agreement"]["change"] > 0.6
    assert figures["different"] == pytest.approx(1 / 3)
    assert held_out_metrics(figures)["held_out/different"] == pytest.approx(1 / 3)


def test_a_single_clip_has_no_interval_and_labels_are_an_accuracy_of_their_own() -> None:
    labelled = [HeldOutReply("c", "?", "red", 1, malformed=False, right=True)]
    figures = held_out_figures([*BASE[:2], *labelled], None)
    assert figures["agreement"]["interval"] is None
    assert (figures["right"]["mean"], figures["right"]["of"], figures["labelled"]) == (1.0, 1, 1)
    assert figures["questions"] == 2
