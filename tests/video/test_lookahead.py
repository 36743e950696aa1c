"""The rule of looking ahead: order, how many, and how much memory."""

from __future__ import annotations

from savi.video.lookahead import Lookahead


def begun(lookahead: Lookahead[str, str]) -> str:
    """All sources that may begin now."""
    names = ""
    while (found := lookahead.begin()) is not None:
        names += found[1]
    return names


def test_sources_begin_as_outcomes_are_taken_and_come_in_order() -> None:
    lookahead: Lookahead[str, str] = Lookahead("abcde", most=3, room=100)
    assert begun(lookahead) == "abc"
    lookahead.finish(1, "B")
    assert not lookahead.ready
    lookahead.finish(0, "A")
    assert (begun(lookahead), lookahead.take(), begun(lookahead)) == ("", "A", "d")
    assert (lookahead.take(), begun(lookahead)) == ("B", "e")
    for number, name in ((4, "E"), (3, "D"), (2, "C")):
        assert not lookahead.exhausted
        lookahead.finish(number, name)
    assert [lookahead.take() for _ in range(3)] == ["C", "D", "E"]
    assert begun(lookahead) == ""
    assert lookahead.exhausted


def test_large_outcomes_are_as_far_ahead_as_they_have_room() -> None:
    lookahead: Lookahead[str, str] = Lookahead("abcdefgh", most=8, room=25)
    lookahead.begin()
    lookahead.finish(0, "A", 10)
    assert begun(lookahead) == "b"  # with another one under way there would be 30 bytes
    lookahead.finish(1, "B", 10)
    assert begun(lookahead) == ""
    lookahead.take()
    assert begun(lookahead) == "c"


def test_the_next_clip_is_worked_on_however_large_it_is() -> None:
    lookahead: Lookahead[str, str] = Lookahead("ab", most=8, room=5)
    lookahead.begin()
    lookahead.finish(0, "A", 10)
    assert begun(lookahead) == ""
    lookahead.take()
    assert begun(lookahead) == "b"
