"""The page's sentences that depend on the results."""

from __future__ import annotations

from statistics import fmean

from savi.world.questions import KINDS
from tools.paper import tables
from tools.paper.numbers import Study, estimate, show
from tools.paper.plan import CONTROLS, CRITICS
from tools.paper.published import NAMES

ALLOWED = 0.05
"""What a control may gain before the page says that it is much, a share."""


def malformed(study: Study) -> str:
    """Whether a run of the method ever drifted into text that is no answer."""
    shares = [entry["malformed"] for run in study.runs("videosavi") for entry in run.rounds]
    if not shares:
        return ""
    return f"After no round of any of its runs were more than {100 * max(shares):.1f} % of its replies malformed. "


def controls(study: Study) -> str:
    """What the controls say, in a sentence."""
    largest = _largest_control(study)
    if largest is None:
        return "No control has been run."
    gain = estimate(run.gain for run in study.runs(largest))
    own_words = estimate(run.gain_in_own_words for run in study.runs(largest))
    spoken = f", in its own words {show(own_words, signed=True)}" if own_words else ""
    beyond = ": more than the 5 points that we allow a control" if gain and abs(gain.mean) > ALLOWED else ""
    return f"Controls: the largest mean gain is {show(gain, signed=True)}{spoken} ({NAMES[largest]}){beyond}."


def _largest_control(study: Study) -> str | None:
    gains = {name: gain.mean for name in CONTROLS if (gain := estimate(run.gain for run in study.runs(name)))}
    return max(gains, key=lambda name: abs(gains[name]), default=None)


def by_kind(study: Study) -> str:
    """On which kinds of questions VideoSAVi is above the largest control."""
    largest = _largest_control(study)
    if largest is None or not study.paired("videosavi", largest):
        return ""

    def sign(kind: str) -> int:
        paired = study.paired("videosavi", largest, lambda run: run.last["by_task"][kind])
        difference = estimate(paired.values())
        return difference.sign if difference else 0

    above = [kind for kind in KINDS if sign(kind) == 1]
    rest = [kind for kind in KINDS if kind not in above]
    not_above = f", but not on {', '.join(rest)}" if rest else ""
    return f" VideoSAVi is clearly above it on {', '.join(above) or 'no kind'}{not_above}."


def blind_gains(study: Study) -> str:
    """The controls and critics that gain although what they prefer is right less often than what they reject."""
    found = []
    for name in (*CONTROLS, *CRITICS):
        runs = study.runs(name)
        gain = estimate(run.gain for run in runs)
        chosen, rejected = (estimate(run.right(side) for run in runs) for side in ("chosen", "rejected"))
        if not (gain and gain.sign == 1 and chosen and rejected and chosen.mean < rejected.mean):
            continue
        before, after = (
            [fmean(column) for column in zip(*(tables.errors_by_cause(run.rounds[at]) for run in runs), strict=True)]
            for at in (0, -1)
        )
        found.append(
            f"`{name}` gains {show(gain, signed=True)} from pairs whose chosen response is right less often "
            f"({show(chosen)} %) than the rejected one ({show(rejected)} %): errors driven by the prior go from "
            f"{before[0]:.0f} to {after[0]:.0f}, others from {before[1]:.0f} to {after[1]:.0f}. "
        )
    if not found:
        return ""
    return (
        f"{''.join(found)}**Such pairs teach a model to distrust its prior, which the rejected answers follow, and "
        "not to see; in so far as VideoSAVi's gain is of this kind, a critic without eyes would do.** "
    )


def gain(study: Study, experiment: str) -> str:
    return show(estimate(run.gain for run in study.runs(experiment)), signed=True)
