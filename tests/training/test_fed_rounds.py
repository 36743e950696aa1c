"""How often a run of several rounds decodes its clips, and how often the vision tower sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from savi.cli import main
from savi.models import packed
from savi.video.process import DecodeProcess

CLIPS, ROUNDS = 3, 2


def test_each_clip_is_decoded_once_in_all_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has no room for what the tower makes of them: it sees them for the readiness check, and twice a round."""
    counts = {"decoded": 0, "seen": 0}
    submit, encode = DecodeProcess.submit, packed.encode_prefix

    def count_decoded(self: DecodeProcess, *asked: object) -> None:
        counts["decoded"] += 1
        submit(self, *asked)  # type: ignore[arg-type]  # as they came

    def count_seen(*given: object) -> object:
        counts["seen"] += 1
        return encode(*given)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(DecodeProcess, "submit", count_decoded)
    monkeypatch.setattr(packed, "encode_prefix", count_seen)
    main(
        [
            *("fit", "--config=demo", f"--runs={tmp_path}", "--model.prefix_cache.mib=0"),
            *("--data.frame_cache.gib=1", f"--data.frame_cache.folder={tmp_path / 'frames'}", "--data.workers=2"),
            *(f"--data.clip_count={CLIPS}", f"--trainer.max_epochs={ROUNDS}", "--data.benchmark=null"),
            *("--data.pairs_per_step=8", "--trainer.enable_progress_bar=false"),
        ]
    )
    assert counts["seen"] > ROUNDS * CLIPS
    assert counts["decoded"] == CLIPS
