"""How often a run of several rounds decodes its clips, and how often the vision tower sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from savi.cache import BoundedFolder
from savi.cli import main
from savi.models import packed
from savi.video.process import DecodeProcess

CLIPS, ROUNDS = 3, 2
WITH_FRAMES = ("--data.frame_cache.gib=1", "--data.workers=2", "--model.prefix_cache.gib=0.00001")
WITH_PREFIXES = ("--model.prefix_cache.gib=1",)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What was done since it was last set to 0."""
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
    return counts


def fit(folder: Path, name: str, *kept: str) -> list[bytes]:
    """A run without room in main memory. Gives the pairs of its rounds and its last adapter."""
    main(
        [
            *("fit", "--config=demo", f"--runs={folder}", f"--name={name}", f"--data.cache={folder / 'cache'}"),
            *("--model.prefix_cache.mib=0", *kept),
            *(f"--data.clip_count={CLIPS}", f"--trainer.max_epochs={ROUNDS}", "--data.benchmark=null"),
            *("--data.pairs_per_step=8", "--trainer.enable_progress_bar=false"),
        ]
    )
    run = folder / name / "version_0"
    files = [*sorted((run / "pairs").glob("round_*.jsonl")), run / "adapter" / "adapter_model.safetensors"]
    assert len(files) == ROUNDS + 1
    return [file.read_bytes() for file in files]


def test_each_clip_is_decoded_and_encoded_once_in_all_rounds(
    tmp_path: Path, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where frames alone have room, the tower sees a clip twice a round. One file is damaged, and made again."""
    expected = fit(tmp_path, "frames", *WITH_FRAMES)
    assert counts["seen"] > ROUNDS * CLIPS
    assert counts["decoded"] == CLIPS
    full = f"{tmp_path / 'cache' / 'prefixes'} is full: raise model.prefix_cache.gib"
    assert sum(message.startswith(full) for message in caplog.messages) == 1
    counts |= {"decoded": 0, "seen": 0}
    found, read = [], BoundedFolder.read

    def damage(self: BoundedFolder, key: tuple[object, ...]) -> object:
        """The readiness check reads all clips twice, with their frames at hand; all other passes read them once."""
        found.extend([self._place(key)] if self.has(key) else [])
        if len(found) == CLIPS + 1:
            found[-1].write_bytes(found[-1].read_bytes()[:-1])
        return read(self, key)

    monkeypatch.setattr(BoundedFolder, "read", damage)
    assert fit(tmp_path, "prefixes", *WITH_PREFIXES) == expected
    assert counts == {"decoded": CLIPS + 1, "seen": CLIPS + 1}
    assert len(list((tmp_path / "cache" / "prefixes").iterdir())) == CLIPS
