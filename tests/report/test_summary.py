"""The page shows the run's numbers, and every word on it can be read."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from savi.report.summary import draw_summary
from tests.report.made_up_runs import (
    KINDS,
    make_results,
    measured_on,
    with_benchmarks,
    without_benchmark,
    write_metrics,
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return found


def words(axes: Axes) -> str:
    return " | ".join(text.get_text() for text in axes.texts)


def visible_texts(figure: Figure) -> list[Text]:
    found = list(figure.texts)
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title]  # type: ignore[attr-defined]  # axes have them
        if axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label]
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                found += [tick.label1 for tick in axis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]]
    return [text for text in found if text.get_text().strip()]


def text_boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    # Text's own extent, without the arrow that an annotation brings.
    return [(text.get_text(), Text.get_window_extent(text)) for text in visible_texts(figure)]


def with_other_sets(results: dict[str, Any]) -> dict[str, Any]:
    """The run after a change of the held-out set before its fourth round; its last round was stopped."""
    for entry in results["rounds"][:4]:
        entry["benchmarks"]["world"]["measured_on"] = measured_on("dev", 60)
    del results["rounds"][-1]["benchmarks"]
    results["rounds"][-1]["steps"] = {"taken": 3, "planned": 28}
    return results


CASES = {
    "base only": (make_results(0), 0),
    "one round": (make_results(1), 3),
    "four rounds": (make_results(4), 28),
    "six rounds": (make_results(6), 10),
    "no metrics": (make_results(4), 0),
    "one kind of error": (make_results(4, kinds=KINDS[:1]), 28),
    "no kinds of errors": (make_results(4, kinds=()), 28),
    "one task": (make_results(4, tasks=("overall quality",)), 28),
    "twenty tasks with long names": (
        make_results(6, tasks=[f"fine grained moving direction {i}" for i in range(20)]),
        5,
    ),
    "other sets and a stopped round": (with_other_sets(make_results(5)), 10),
    "no benchmark": (without_benchmark(make_results(2)), 4),
}


@pytest.mark.parametrize("case", CASES)
def test_no_words_overlap_or_leave_the_page(case: str, tmp_path: Path, drawn: list[Figure]) -> None:
    results, steps = CASES[case]
    metrics = write_metrics(tmp_path / "metrics.csv", len(results["rounds"]) - 1, steps) if steps else None
    draw_summary(results, metrics, tmp_path / "summary.png")
    (figure,) = drawn
    boxes = text_boxes(figure)
    assert len(boxes) > 10 or case == "no benchmark"
    page = figure.bbox
    for text, box in boxes:
        inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert inside, f"{text!r} leaves the page"
    for (one, first), (other, second) in combinations(boxes, 2):
        shared = Bbox.intersection(first, second)
        # Boxes hold room for ascenders and descenders: a sliver of it may be shared.
        assert shared is None or min(shared.width, shared.height) < 2.5, f"{one!r} overlaps {other!r}"


def test_the_file_is_a_picture_of_one_page(tmp_path: Path) -> None:
    draw_summary(make_results(4), None, tmp_path / "summary.png")
    with Image.open(tmp_path / "summary.png") as image:
        assert image.format == "PNG"
        assert 1200 <= image.width <= 2400
        assert 0.5 < image.height / image.width < 0.8


def test_the_title_names_the_run_and_what_it_gained(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_summary(make_results(4), None, tmp_path / "summary.png")
    title, facts = (text.get_text() for text in drawn[0].texts)
    assert title == "demo: 40.0% → 60.0% on held-out questions"
    assert all(fact in facts for fact in ("base model: world", "seed 1", "360 questions", "2.0% → 1.2%", "4.2 minutes"))


def test_accuracy_is_drawn_for_the_whole_and_for_every_task(tmp_path: Path, drawn: list[Figure]) -> None:
    results = make_results(2)
    draw_summary(results, None, tmp_path / "summary.png")
    axes = panel(drawn[0], "Accuracy by round and task")
    lines = [list(line.get_ydata()) for line in axes.lines]
    worlds = [entry["benchmarks"]["world"] for entry in results["rounds"]]
    assert [world["accuracy"] for world in worlds] in lines
    for task in worlds[0]["by_task"]:
        assert [world["by_task"][task] for world in worlds] in lines
    assert "overall  50%  (+10)" in words(axes)
    assert "motion  49%  (+10)" in words(axes)
    assert all(axes.get_ylim()[0] <= value <= axes.get_ylim()[1] for line in lines for value in line)


def test_a_task_that_comes_later_is_drawn_from_there(tmp_path: Path, drawn: list[Figure]) -> None:
    results = make_results(2)
    del results["rounds"][0]["benchmarks"]["world"]["by_task"]["motion"]
    draw_summary(results, None, tmp_path / "summary.png")
    axes = panel(drawn[0], "Accuracy by round and task")
    assert [1, 2] in [list(line.get_xdata()) for line in axes.lines]


def test_benchmarks_are_drawn_where_the_world_was_not_asked(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_summary(with_benchmarks(make_results(2)), None, tmp_path / "summary.png")
    axes = panel(drawn[0], "Accuracy by round and benchmark")
    assert [list(line.get_ydata()) for line in axes.lines] == [pytest.approx([0.5, 0.54, 0.58])]
    assert "MVBench  58%  (+8)" in words(axes)


def bars(axes: Axes) -> list[tuple[float, float]]:
    """(bottom, height) of every bar, in the order they were drawn."""
    return [(bar.get_y(), bar.get_height()) for bar in axes.patches]  # type: ignore[attr-defined]  # axes have them


def test_errors_are_stacked_up_to_their_total(tmp_path: Path, drawn: list[Figure]) -> None:
    results = make_results(1)
    worlds = [entry["benchmarks"]["world"] for entry in results["rounds"]]
    worlds[1]["errors"].pop("causal reasoning")
    draw_summary(results, None, tmp_path / "summary.png")
    axes = panel(drawn[0], "Errors by kind")
    base, last = (list(world["errors"].values()) for world in worlds)
    assert bars(axes)[0::2] == [(sum(base[:index]), value) for index, value in enumerate(base)]
    assert max(bottom + height for bottom, height in bars(axes)[1::2]) == sum(last)
    assert f"| {sum(base)} | {sum(last)} |" in words(axes)
    assert "causal reasoning  32 → 0" in words(axes)


def test_questions_are_followed_to_pairs_and_filters(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_summary(make_results(2), None, tmp_path / "summary.png")
    axes = panel(drawn[0], "What became of the questions")
    assert bars(axes)[:2] == [(0, 599), (0, 598)]
    assert "unchanged revision  201 → 202" in words(axes)
    assert "undecodable" not in words(axes), "clips are no questions"
    assert axes.get_xlabel() == "round (2 clips could not be decoded)"


def test_rewards_are_drawn_by_step_with_a_mark_at_each_round(tmp_path: Path, drawn: list[Figure]) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", rounds=3, steps=4)
    draw_summary(make_results(3), metrics, tmp_path / "summary.png")
    axes = panel(drawn[0], "Rewards in training")
    curves = [line for line in axes.lines if len(line.get_xdata()) == 12]
    assert len(curves) == 6, "chosen, rejected and margin: each step, and a running mean"
    assert list(curves[0].get_xdata()) == list(range(12))
    assert list(curves[0].get_ydata()) == pytest.approx([0.0, 0.01, 0.02, 0.03] * 3)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [3.5, 7.5]
    assert "chosen  +0.20" in words(axes)


def test_a_running_mean_looks_back_over_its_window(tmp_path: Path, drawn: list[Figure]) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", rounds=1, steps=30)
    draw_summary(make_results(1), metrics, tmp_path / "summary.png")
    mean = panel(drawn[0], "Rewards in training").lines[1].get_ydata()
    assert list(mean)[:3] == pytest.approx([0.0, 0.005, 0.015])  # 30 steps: a window of two
    assert list(mean)[-1] == pytest.approx(0.285)


@pytest.mark.parametrize("metrics", [None, Path("not/there.csv")])
def test_what_is_missing_is_said_in_its_panel(tmp_path: Path, drawn: list[Figure], metrics: Path | None) -> None:
    draw_summary(without_benchmark(make_results(1)), metrics, tmp_path / "summary.png")
    (figure,) = drawn
    assert words(panel(figure, "Accuracy by round and benchmark")) == "not evaluated: the run had no benchmark"
    assert "not evaluated" in words(panel(figure, "Errors by kind"))
    assert words(panel(figure, "Rewards in training")) == "no rewards were logged"
    assert figure.texts[0].get_text() == "demo"


def test_figures_of_another_set_are_not_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_summary(with_other_sets(make_results(5)), None, tmp_path / "summary.png")
    title, _, notes = (text.get_text() for text in drawn[0].texts)
    assert title == "demo: 60.0% on held-out questions"
    assert "round 5 stopped after 3 of 28 steps and was not evaluated" in notes
    assert "measured on another set and not drawn: base, round 1, round 2, round 3" in notes
    axes = panel(drawn[0], "Accuracy by round and task")
    assert {number for line in axes.lines for number in line.get_xdata()} == {4}


def test_a_picture_that_can_not_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.png"
    draw_summary(make_results(1), None, path)
    before = path.read_bytes()

    def full(self: Figure, file: Path, **_: Any) -> None:
        file.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space"):
        draw_summary(make_results(2), None, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["summary.png"]
