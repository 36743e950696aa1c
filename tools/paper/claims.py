"""What the paper claims, checked against this study's paired differences: agrees, disagrees, or not told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

from tools.paper import published
from tools.paper.numbers import ByRun, Estimate, Run, Study, means_of_bases, of_pairs

SHORT = {"sft": "SFT", "sft_plus": "SFT⁺", "tpo": "TPO", "hound_dpo": "Hound-DPO"}
SET_NAMES = {
    "forms": "unseen question forms",
    "looks": "unseen looks",
    "outside": "both unseen",
    "adversarial": "questions whose language prior is wrong",
    "compositional": "questions of two steps",
}
ONE_BASE = "one base only"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper as a difference that it says is above 0. paper: its own, in points, where it has one."""

    text: str
    differences: ByRun
    paper: float | None = None

    @property
    def ours(self) -> Estimate | None:
        return of_pairs(self.differences)

    @property
    def bases(self) -> list[float]:
        return means_of_bases(self.differences)

    @property
    def verdict(self) -> str:
        """Whether the wider interval is clear of zero with the mean of every base on the same side, and on which.

        There is no verdict on a single base: its runs say nothing of other bases.
        """
        if self.ours is None:
            return "not run"
        if self.ours.half is None:
            return ONE_BASE
        sign = self.ours.sign
        if not sign or any(mean * sign <= 0 for mean in self.bases):
            return "not told apart"
        return "agrees" if sign > 0 else "disagrees"


def claims(study: Study) -> list[Claim]:
    """All that can be checked here, in the paper's order."""
    own = study.runs("videosavi")
    ours = published.mean_of("videosavi")
    found = [Claim("VideoSAVi is above its base", gains(own), ours - published.mean_of("base"))]
    for name, short in SHORT.items():
        difference = study.paired("videosavi", name)
        found.append(Claim(f"VideoSAVi is above {short}", difference, ours - published.mean_of(name)))
    below = {run.key: -run.gain for run in study.runs("hound_dpo")}
    found.append(
        Claim("Hound-DPO is below its base", below, published.mean_of("base") - published.mean_of("hound_dpo"))
    )
    first, *_, last = published.ERRORS["total"]
    most = {run.key: fall(run) - 0.5 for run in own}
    found.append(Claim("More than half of the errors are gone after the rounds", most, 100 * (0.5 - last / first)))
    return [*found, *_critics(study), *_generalisation(study), *_sizes(study)]


def gains(runs: Iterable[Run]) -> ByRun:
    return {run.key: run.gain for run in runs}


def fall(run: Run) -> float:
    """The share of a run's errors that is gone after its last round."""
    before, after = (sum(entry["errors"].values()) for entry in (run.before, run.last))
    return 1 - after / before


def right_where_prior_is_wrong(entry: dict[str, dict[str, int]]) -> float:
    """A round's accuracy on the items whose language prior is wrong."""
    return entry["prior"]["right"] / entry["prior"]["adversarial"]


def _critics(study: Study) -> Iterator[Claim]:
    another = fmean(published.CRITICS["videosavi"]) - fmean(published.CRITICS["critic_another"])
    yield Claim("A critic of its own serves better than another", study.paired("videosavi", "critic_another"), another)
    yield Claim("A critic that sees the clip serves better than text alone", study.paired("videosavi", "critic_text"))


def _generalisation(study: Study) -> Iterator[Claim]:
    for name, text in SET_NAMES.items():
        if name == "adversarial":
            gained = {
                run.key: right_where_prior_is_wrong(run.last) - right_where_prior_is_wrong(run.before)
                for run in study.runs("videosavi")
            }
            against = study.paired("videosavi", "tpo", lambda run: right_where_prior_is_wrong(run.last))
        else:
            gained = study.paired_on_set("videosavi", "base", name)
            against = study.paired_on_set("videosavi", "tpo", name)
        ours, tpo, _ = published.SETS[name]
        yield Claim(f"It generalizes to {text}: above its base", gained)
        yield Claim(f"It generalizes to {text}: above TPO", against, ours - tpo)


def _sizes(study: Study) -> Iterator[Claim]:
    for kind, size in (("small", "1B"), ("large", "2B")):
        before, after = published.SIZES[size]
        found = gains(study.runs("videosavi", kind))
        yield Claim(f"The {kind} model gains as well (paper: {size})", found, fmean(after) - fmean(before))
