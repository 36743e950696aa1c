"""The checks of a run's model before its first step: they cost a second, and a wrong model costs days."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_info

from savi.errors import SaviError
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
