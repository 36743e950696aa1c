"""Equal meaning on the shipped base's own answers: what the page on pairs says of it."""

from __future__ import annotations

from tools.base_model.judging import judge_own_answers


def test_content_words_judge_the_bases_answers_and_its_own_word_does_not() -> None:
    judged = judge_own_answers(scenes=4)
    same = [one for one in judged if one.true]
    assert 0 < len(same) < len(judged)
    assert not any(one.content for one in judged if not one.true)
    assert sum(one.content for one in same) > sum(one.likelihood for one in same)
    assert not any(one.words for one in judged)
