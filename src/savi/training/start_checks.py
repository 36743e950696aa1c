"""The checks of a run's model before its first step: they cost a second, and a wrong model costs days."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_info

from savi.errors import SaviError
from savi.methods.base import PairMethod
from savi.models.self_checks import start_checks
from savi.training.aligned_model import AlignedModel


def check_model(module: AlignedModel, force: bool) -> None:
    """Say in one line what was checked. Raises SaviError for the first check that fails. force: say it and go on."""
    was_training = module.training
    module.eval()
    checked = []
    try:
        for finding in start_checks(module.video_lm):
            if finding.passed is False and not force:
                raise SaviError(
                    f"model.base.path: {finding.name}: {finding.says}; {finding.remedy} (savi check tells more; "
                    "--force begins all the same)"
                )
            if finding.passed is not None:
                checked.append(f"{'✓' if finding.passed else '✗'} {finding.name}")
    finally:
        module.train(was_training)
    rank_zero_info(f"checked: {', '.join(checked)}")


def check_readiness_clips(method: PairMethod, sample: int, batch_clips: int) -> None:
    """Raise SaviError where a critic that needs the other clips of a batch would find one without: the readiness check
    would call its questions malformed. sample: the clips that are to be measured."""
    if method.within_batch and sample % batch_clips == 1:
        raise SaviError(
            f"data.readiness_clips: of {sample} in batches of {batch_clips} (data.generation_batch_clips) one is "
            f"alone, and the critic needs another clip; set it to {sample - 1}"
        )
