"""Which runs the study is made of. Each is an ordinary experiment file and one ordinary command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EXPERIMENTS = Path("experiments") / "paper"

METHODS = ("sft", "sft_plus", "hound_dpo", "tpo", "videosavi")
CONTROLS = ("control_random", "control_samples", "control_shuffled", "control_other_clip")
CRITICS = ("critic_text", "critic_another", "critic_truth")
DECIDING = ("beta_0.03", "beta_0.3", "nll_0.3", "nll_1.0", "clips_80", "clips_160", "rounds_6", "previous")
SETS = ("forms", "looks", "outside", "compositional")
GENERALISING = ("hound_dpo", "tpo", "videosavi")


@dataclass(frozen=True)
class Base:
    """A base model. path: "world" for the shipped one, or a folder that `make base SEED=n` wrote."""

    path: str

    @property
    def name(self) -> str:
        return Path(self.path).name


@dataclass(frozen=True)
class Fit:
    """One alignment run. more: settings beside its experiment file's."""

    study: Path
    base: Base
    experiment: str
    seed: int
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.experiment}-{self.seed}"

    @property
    def label(self) -> str:
        return f"{self.base.name}/{self.name}"

    @property
    def folder(self) -> Path:
        return self.study / self.base.name / self.name / "version_0"

    @property
    def results(self) -> Path | None:
        """Its result file, once the run is finished: the picture is the last thing it writes."""
        return self.folder / "results.json" if (self.folder / "summary.png").is_file() else None

    @property
    def arguments(self) -> list[str]:
        """The command, which goes on with a run that was stopped."""
        again = ["--ckpt_path=last"] if self.folder.is_dir() else []
        return [*self._common("fit"), f"--runs={self.study / self.base.name}", f"--name={self.name}", *again]

    def _common(self, command: str) -> list[str]:
        return [
            command,
            f"--config={EXPERIMENTS / self.experiment}.yaml",
            f"--model.base.path={self.base.path}",
            f"--seed_everything={self.seed}",
            "--trainer.enable_progress_bar=false",
            *self.more,
        ]


@dataclass(frozen=True)
class Measurement:
    """One held-out set under a finished run's model, or under its base."""

    fit: Fit
    set: str
    of_base: bool = False

    @property
    def label(self) -> str:
        return f"{self.fit.base.name}/{'base' if self.of_base else self.fit.name} on {self.set}"

    @property
    def results(self) -> Path | None:
        return next(iter(sorted((self._runs / self.set).glob("**/results.json"))), None)

    @property
    def arguments(self) -> list[str]:
        checkpoint = "null" if self.of_base else self.fit.folder / "checkpoints" / "last.ckpt"
        place = [f"--runs={self._runs}", f"--name={self.set}", f"--ckpt_path={checkpoint}"]
        return [*self.fit._common("validate"), f"--data.benchmark_set={self.set}", *place]

    @property
    def _runs(self) -> Path:
        return self.fit.study / self.fit.base.name / "sets" / ("base" if self.of_base else self.fit.name)


Task = Fit | Measurement


def plan(study: Path, bases: Sequence[Base], seeds: Sequence[int], quick: bool) -> tuple[list[Fit], list[Measurement]]:
    """The runs in the order of what matters first, and what is measured on them afterwards.

    quick: one base, one seed, the usual 120 held-out clips, without what decides. "another" critic is the next base:
    without a second one that row stays empty.
    """
    if quick:
        bases, seeds = bases[:1], seeds[:1]
    more = ("--data.benchmark_clips=120",) if quick else ()
    fits = [
        Fit(study, base, experiment, seed, (*more, *other_base(experiment, base, bases)))
        for group in (METHODS[::-1], CONTROLS, CRITICS)
        for seed in seeds
        for base in bases
        for experiment in group
        if experiment != "critic_another" or len(bases) > 1
    ]
    if not quick:
        fits += [Fit(study, base, experiment, seeds[0]) for base in bases for experiment in DECIDING]
    generalising = ("videosavi",) if quick else GENERALISING
    measurements = [
        Measurement(fit, name, of_base)
        for fit in fits
        for name in SETS
        for of_base in (True, False)
        if fit.experiment in generalising and (not of_base or (fit.experiment, fit.seed) == ("videosavi", seeds[0]))
    ]
    return fits, measurements


def other_base(experiment: str, base: Base, bases: Sequence[Base]) -> tuple[str, ...]:
    """Which checkpoint criticises in `critic_another`: the one after the run's own."""
    if experiment != "critic_another":
        return ()
    other = bases[(bases.index(base) + 1) % len(bases)]
    return (f"--model.chain.critic.base={other.path}",)
