"""Which runs the study is made of. Each is an ordinary experiment file and one ordinary command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

EXPERIMENTS = Path("experiments") / "paper"

UNPUBLISHED = ("i_srt", "best_of_n", "self_consistency")
"""Methods that the paper has no figures of."""

PUBLISHED = ("sft", "sft_plus", "hound_dpo", "tpo", "videosavi")
METHODS = ("sft", "sft_plus", "hound_dpo", *UNPUBLISHED, "tpo", "videosavi")
CONTROLS = ("control_random", "control_samples", "control_shuffled", "control_other_clip")
CRITICS = ("critic_text", "critic_another", "critic_truth")
DECIDING = (
    *("beta_0.1", "beta_0.3", "beta_3.0", "nll_0.3", "nll_1.0", "clips_80", "clips_160"),
    *("rounds_6", "previous", "unfiltered"),
)
GUARDS = ("unfiltered", "nll_0.3", "nll_1.0", "beta_0.3", "lr_low", "lr_high")
FILTERED = tuple(f"filtered_{name}" for name in (*PUBLISHED, "control_random", "control_other_clip"))
"""Experiments with today's filters: the rest of the study ran with the earlier ones."""
NATURAL_METHODS = tuple(
    f"natural_{name}" for name in ("videosavi", "sft", "control_random", "control_other_clip", "approved")
)
"""Experiments on a base with a real language model."""

SETS = ("forms", "looks", "outside", "compositional")
GENERALISING = ("hound_dpo", "tpo", "videosavi")
QUICK = ("videosavi", "control_random", "sft", "tpo", "hound_dpo", "critic_text")
QUICK_SETS = ("forms", "outside")
OTHERS = ("small", "large", "weak")
NATURAL = "natural"
KINDS = (*OTHERS, NATURAL)


@dataclass(frozen=True)
class Base:
    """A base model. path: "world" for the shipped one, or a folder that `make base` wrote."""

    path: str

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def kind(self) -> str:
        """ "main", or what its folder's name begins with: small, large, weak, natural."""
        start = self.name.partition("-")[0]
        return start if start in KINDS else "main"


@dataclass(frozen=True)
class Fit:
    """One alignment run. more: settings in addition to its experiment file's."""

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
    def command(self) -> list[str]:
        """What one types to have the run anew."""
        return ["fit", *self.settings, f"--runs={self.study / self.base.name}", f"--name={self.name}"]

    @property
    def arguments(self) -> list[str]:
        """The command as the study runs it, which resumes a run that was stopped."""
        again = ["--ckpt_path=last"] if self.folder.is_dir() else []
        return [*self.command, "--trainer.enable_progress_bar=false", *again]

    @property
    def settings(self) -> list[str]:
        return [
            f"--config={EXPERIMENTS / self.experiment}.yaml",
            f"--model.base.path={self.base.path}",
            f"--seed_everything={self.seed}",
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
    def command(self) -> list[str]:
        checkpoint = "null" if self.of_base else self.fit.folder / "checkpoints" / "last.ckpt"
        place = [f"--runs={self._runs}", f"--name={self.set}", f"--ckpt_path={checkpoint}"]
        return ["validate", *self.fit.settings, f"--data.benchmark_set={self.set}", *place]

    @property
    def arguments(self) -> list[str]:
        return [*self.command, "--trainer.enable_progress_bar=false"]

    @property
    def _runs(self) -> Path:
        return self.fit.study / self.fit.base.name / "sets" / ("base" if self.of_base else self.fit.name)


Task = Fit | Measurement


def plan(
    study: Path, bases: Sequence[Base], seeds: Sequence[int], quick: bool = False, others: Sequence[Base] = ()
) -> list[Task]:
    """Everything, in the order of what matters first, so that a study that is cut short has the main tables.

    quick: one base, one seed, the usual 120 held-out clips, what the shortest story needs. "another" critic is the next
    base: without a second one that row stays empty. others: bases of another kind (`Base.kind`).
    """
    if quick:
        first = [Fit(study, bases[0], name, seeds[0], ("--data.benchmark_clips=120",)) for name in QUICK]
        return [*first, *_measurements(first[:1], QUICK_SETS, seeds[0])]
    firsts = ("videosavi", "control_random")
    following = (*PUBLISHED[::-1], *CONTROLS, *UNPUBLISHED)
    fits = [
        Fit(study, base, experiment, seed, other_base(experiment, base, bases))
        for group in (firsts, [name for name in following if name not in firsts], CRITICS)
        for seed in seeds
        for base in bases
        for experiment in group
        if experiment != "critic_another" or len(bases) > 1
    ]
    measured = [fit for fit in fits if fit.experiment in GENERALISING]
    besides = [Fit(study, base, experiment, seed) for seed in seeds for base in others for experiment in _on(base)]
    deciding = [Fit(study, base, experiment, seeds[0]) for base in bases for experiment in DECIDING]
    filtered = [Fit(study, base, experiment, seed) for seed in seeds for base in bases for experiment in FILTERED]
    return [*fits, *_measurements(measured, SETS, seeds[0]), *besides, *deciding, *filtered]


def _on(base: Base) -> Sequence[str]:
    """The experiments on a base of another kind than the main one."""
    if base.kind == NATURAL:
        return NATURAL_METHODS if base.name == NATURAL else NATURAL_METHODS[:1]
    return ("videosavi", *GUARDS) if base.kind == "weak" else ("videosavi",)


def fits_of(tasks: Iterable[Task]) -> list[Fit]:
    """The fits among the tasks."""
    return [task for task in tasks if isinstance(task, Fit)]


def _measurements(fits: Sequence[Fit], sets: Sequence[str], seed: int) -> list[Task]:
    """Each fit on each set, and its base once."""
    return [
        Measurement(fit, name, of_base)
        for fit in fits
        for name in sets
        for of_base in (True, False)
        if not of_base or (fit.experiment, fit.seed) == ("videosavi", seed)
    ]


def other_base(experiment: str, base: Base, bases: Sequence[Base]) -> tuple[str, ...]:
    """Which checkpoint criticizes in `critic_another`: the one after the run's own."""
    if experiment != "critic_another":
        return ()
    other = bases[(bases.index(base) + 1) % len(bases)]
    return (f"--model.pairs.init_args.critic.init_args.base={other.path}",)
