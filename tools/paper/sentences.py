"""The page's sentences that depend on the results. Each means the wider interval of an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from savi.world.questions import KINDS
from tools.paper import tables
from tools.paper.claims import gains
from tools.paper.numbers import Study, estimate, means_of_bases, of_pairs, of_runs, say
from tools.paper.plan import CONTROLS, CRITICS, METHODS
from tools.paper.published import NAMES

ALLOWED = 0.05
"""The mean gain of a control, as a share, above which the page says that it is too much."""


def gain(study: Study) -> str:
    """What VideoSAVi gains, over all bases and on each."""
    runs = study.runs("videosavi")
    found = of_runs(runs, lambda run: run.gain)
    if found is None:
        return "VideoSAVi has not been run."
    if found.half is None:
        return (
            f"On one base VideoSAVi changes the accuracy by {say(found, signed=True)} points. With a single base there "
            "is no interval over bases, so this says nothing of other bases."
        )
    each = ", ".join(f"{100 * mean:+.1f}" for mean in means_of_bases(gains(runs)))
    return f"VideoSAVi changes the accuracy of its base by {say(found, signed=True)} points (each base: {each})."


def compared(study: Study) -> str:
    """What VideoSAVi is above and below, and what it is not told apart from. Few bases are named: they hardly tell."""
    pairs = {name: paired for name in METHODS[:-1] if (paired := study.paired("videosavi", name))}
    differences = {name: of_pairs(paired) for name, paired in pairs.items()}
    found = {name: difference for name, difference in differences.items() if difference}
    bases = {name: len(means_of_bases(paired)) for name, paired in pairs.items()}
    all_bases = len({run.base for run in study.runs("videosavi")})
    few = {name: f" on {bases[name]} bases only" for name in found if 1 < bases[name] < all_bases}
    told = {
        name: f"{NAMES[name]} ({say(difference, signed=True)}{few.get(name, '')})" for name, difference in found.items()
    }
    if any(difference.half is None for difference in found.values()):
        return f"VideoSAVi differs, on this one base and without an interval, from {_listed(list(told.values()))}."
    words = {1: "above", -1: "below", 0: "not told apart from"}
    groups = {sign: [told[name] for name in told if found[name].sign == sign] for sign in words}
    parts = [f"{words[sign]} {_listed(names)}" for sign, names in groups.items() if names]
    return f"VideoSAVi is {'; it is '.join(parts)}." if parts else ""


def malformed(study: Study) -> str:
    """Whether a run of the method ever drifted into text that is no answer."""
    shares = [entry["malformed"] for run in study.runs("videosavi") for entry in run.rounds]
    if not shares:
        return ""
    return f"After no round of any of its runs were more than {100 * max(shares):.1f} % of its replies malformed."


def controls(study: Study) -> str:
    """What the controls say, in a sentence."""
    largest = _largest_control(study)
    if largest is None:
        return "No control has been run."
    found = of_runs(study.runs(largest), lambda run: run.gain)
    own_words = of_runs(study.runs(largest), lambda run: run.gain_in_own_words)
    spoken = f", in its own words {say(own_words, signed=True)}" if own_words else ""
    beyond = found is not None and abs(found.mean) > ALLOWED
    too_much = f". That is more than the {100 * ALLOWED:.0f} points that we allow a control" if beyond else ""
    return (
        f"The largest mean gain of a control is {say(found, signed=True)} points{spoken} ({NAMES[largest]}){too_much}."
    )


def _largest_control(study: Study) -> str | None:
    found = {name: of_runs(study.runs(name), lambda run: run.gain) for name in CONTROLS}
    means = {name: abs(gain.mean) for name, gain in found.items() if gain}
    return max(means, key=means.__getitem__, default=None)


def by_kind(study: Study) -> str:
    """On which kinds of questions VideoSAVi is above the largest control."""
    largest = _largest_control(study)
    if largest is None or not study.paired("videosavi", largest):
        return ""

    def sign(kind: str) -> int:
        difference = of_pairs(study.paired("videosavi", largest, lambda run: run.last["by_task"][kind]))
        return difference.sign if difference else 0

    above = [kind for kind in KINDS if sign(kind) == 1]
    rest = [kind for kind in KINDS if kind not in above]
    not_above = f"; on {_listed(rest)} it is not clearly above" if rest else ""
    return f"VideoSAVi is clearly above this control on {_listed(above) or 'no kind of question'}{not_above}."


def blind_gains(study: Study) -> str:
    """The controls and critics that clearly gain although they clearly prefer the wrong answer."""
    found = []
    for name in (*CONTROLS, *CRITICS):
        runs = study.runs(name)
        gain = of_runs(runs, lambda run: run.gain)
        less_right = of_runs(runs, lambda run: _difference(run.right("rejected"), run.right("chosen")))
        if not (gain and gain.sign == 1 and less_right and less_right.sign == 1):
            continue
        chosen, rejected = (
            say(estimate((run.base, run.right(side)) for run in runs)) for side in ("chosen", "rejected")
        )
        before, after = (
            [fmean(column) for column in zip(*(tables.errors_by_cause(run.rounds[at]) for run in runs), strict=True)]
            for at in (0, -1)
        )
        found.append(
            f"`{name}` gains {say(gain, signed=True)} points from pairs whose chosen response is right less often "
            f"({chosen} %) than the rejected one ({rejected} %). Its errors driven by the prior go from "
            f"{before[0]:.0f} to {after[0]:.0f}, its other errors from {before[1]:.0f} to {after[1]:.0f}."
        )
    if not found:
        return ""
    return (
        f"{' '.join(found)} **Such pairs teach a model to distrust its language prior, which the rejected answers "
        "follow. They don't teach it to see. As far as the gain of VideoSAVi is of this kind, a critic that sees "
        "nothing would do as well.**"
    )


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
