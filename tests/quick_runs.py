"""Settings that make a run short."""

from __future__ import annotations

QUICK = ["--data.readiness_clips=1", "--model.base.nf4=false", "--trainer.enable_progress_bar=false"]
"""For runs of the demo that are about neither the readiness check nor four bits: they take half the time."""
