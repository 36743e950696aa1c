"""VideoSAVi's own numbers (arXiv 2412.00624, v3), in percent, and what this study's experiments are called."""

from __future__ import annotations

from statistics import fmean

MAIN = {
    "base": (68.3, 62.2, 77.0, 69.8, 52.0, 57.8),
    "sft": (68.5, 63.0, 77.5, 70.2, 53.0, 58.0),
    "sft_plus": (68.7, 64.5, 78.3, 71.6, 54.5, 58.1),
    "hound_dpo": (66.8, 61.0, 74.8, 64.2, 48.5, 54.3),
    "tpo": (68.2, 62.0, 77.2, 68.8, 52.8, 58.1),
    "videosavi": (69.1, 66.1, 80.6, 74.0, 58.8, 59.8),
}
"""Its main table: TempCompass, PerceptionTest, NExT-QA, MVBench, EgoSchema, LongVideoBench."""

CRITICS = {"critic_another": (72.0, 57.0, 59.0), "videosavi": (74.0, 58.8, 59.8)}
"""Who criticizes: MVBench, EgoSchema, LongVideoBench. Another model is GPT-4o there."""

ERRORS = {
    "factual inaccuracy": (45, 29, 20, 12),
    "temporal ordering": (38, 22, 15, 8),
    "spatial relationship": (42, 31, 18, 9),
    "object hallucination": (29, 18, 11, 6),
    "detail omission": (21, 16, 4, 2),
    "total": (200, 130, 74, 41),
}
"""Iterations 1 to 4. The total has causal reasoning too, of which the world has no questions."""

SETS = {
    "test": (76.1, 73.8, 72.5),
    "forms": (72.5, 66.0, 59.7),
    "looks": (71.8, 65.2, 58.5),
    "outside": (70.2, 63.0, 55.8),
    "adversarial": (69.4, 61.5, 53.0),
    "compositional": (70.7, 62.2, 54.2),
}
"""VideoSAVi, TPO, Hound-DPO."""

SIZES = {"1B": ((63.5, 39.6, 45.4), (64.8, 43.8, 48.3)), "2B": ((65.9, 44.7, 48.0), (67.5, 49.4, 52.3))}
"""Before and after, on the three of `CRITICS`."""

NAMES = {
    "base": "base",
    "sft": "SFT on revised answers",
    "sft_plus": "SFT⁺ (in rounds)",
    "hound_dpo": "Hound-DPO (judge without the clip)",
    "i_srt": "i-SRT (the model judges, with the clip)",
    "best_of_n": "best of n by the model's own score",
    "self_consistency": "self-consistency",
    "tpo": "TPO (temporal pairs only)",
    "videosavi": "VideoSAVi",
    "control_random": "random direction",
    "control_samples": "two initial samples",
    "control_shuffled": "shuffled critiques",
    "control_other_clip": "critic sees another clip",
    "approved": "approved answers are revised, too",
    "critic_text": "text alone",
    "critic_another": "another base",
    "critic_truth": "the truth (ceiling)",
    "beta_0.1": "β 0.1",
    "beta_0.3": "β 0.3",
    "beta_3.0": "β 3",
    "nll_0.3": "NLL weight 0.3",
    "nll_1.0": "NLL weight 1",
    "clips_80": "80 clips",
    "clips_160": "160 clips",
    "rounds_6": "six rounds",
    "previous": "reference: round before",
    "unfiltered": "implausible revisions learned too",
    "lr_low": "learning rate 1e-4",
    "lr_high": "learning rate 1e-3",
}


def mean_of(name: str) -> float:
    """A row of the main table, over its six benchmarks."""
    return fmean(MAIN[name])
