"""Folders, globs and manifests to clips: which files, under which names, and what is said where it can't be done."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from savi.data.clips import find_clips
from savi.types import SaviError, derive_seed


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with videos, empty but named so, and other things."""
    root = tmp_path / "videos"
    for name in ("b.mp4", "a.MKV", "deep/er/c.webm", "deep/a.mov", "deep/a.avi", "v1.5 take.gif"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("notes.txt", "deep/._a.mov", ".trash/gone.mp4", "deep/cover.jpg"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "folder.mp4").mkdir()
    return root


def ids(source: Path | str, limit: int | None = None) -> list[str]:
    return [clip.id for clip in find_clips(source, limit)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_folder(videos: Path) -> None:
    clips = find_clips(videos)
    assert [clip.id for clip in clips] == ["a", "b", "deep/a.avi", "deep/a.mov", "deep/er/c", "v1.5 take"]
    assert clips[0].path == videos / "a.MKV"
    assert find_clips(str(videos)) == clips


def test_a_name_that_is_not_utf8_has_a_readable_id(videos: Path) -> None:
    (videos / os.fsdecode(b"caf\xe9.mp4")).touch()
    clip = next(clip for clip in find_clips(videos) if "caf" in clip.id)
    assert clip.id == r"caf\xe9"
    assert clip.path.is_file()
    assert derive_seed(0, 0, str(clip.path)) != derive_seed(0, 0, clip.id)


def test_limit_takes_the_first_and_changes_no_id(videos: Path) -> None:
    assert ids(videos, 3) == ["a", "b", "deep/a.avi"]


def test_an_id_is_never_another_files_name(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.avi", "a.mp4.mkv"):
        (tmp_path / name).touch()
    assert ids(tmp_path) == ["a.avi", "a.mp4", "a.mp4.mkv"]


def test_one_file(videos: Path) -> None:
    (clip,) = find_clips(videos / "b.mp4")
    assert (clip.id, clip.path) == ("b", videos / "b.mp4")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["b"]),
        ("**/*.mov", ["deep/a"]),
        ("**/*", ["a", "b", "deep/a.avi", "deep/a.mov", "deep/er/c", "v1.5 take"]),
        ("deep/*.[am]*", ["a.avi", "a.mov"]),
    ],
)
def test_glob(pattern: str, expected: list[str], videos: Path) -> None:
    assert ids(f"{videos}/{pattern}") == expected


def test_folder_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    folder = tmp_path / "takes [1]"
    folder.mkdir()
    (folder / "a.mp4").touch()
    assert ids(folder) == ["a"]


MANIFESTS = {
    "list.txt": "# my videos\nb.mp4\n\n  deep/a.mov  \n/elsewhere/x.mp4\n",
    "list.csv": "id,video,note\n,b.mp4,x\n,deep/a.mov,\n,/elsewhere/x.mp4,\n",
    "list.tsv": "path\tnote\nb.mp4\tone, two\ndeep/a.mov\t\n/elsewhere/x.mp4\t\n",
    "list.jsonl": '"b.mp4"\n{"video": "deep/a.mov"}\n\n{"path": "/elsewhere/x.mp4", "id": ""}\n',
    "list.json": '["b.mp4", {"path": "deep/a.mov"}, {"video": "/elsewhere/x.mp4"}]',
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest(name: str, videos: Path) -> None:
    # In the manifest's order, relative to its folder; /elsewhere/x.mp4 is missing, which is the decoder's affair.
    clips = find_clips(write(videos / name, MANIFESTS[name]))
    assert [clip.id for clip in clips] == ["b", "deep/a", "/elsewhere/x"]
    assert [clip.path for clip in clips] == [videos / "b.mp4", videos / "deep/a.mov", Path("/elsewhere/x.mp4")]


def test_manifest_of_a_spreadsheet_with_its_byte_order_mark(videos: Path) -> None:
    assert ids(write(videos / "list.csv", "\ufeffvideo\nb.mp4\n")) == ["b"]


def test_manifest_with_ids(videos: Path) -> None:
    rows = [{"id": "zebra", "video": "b.mp4"}, {"id": 7, "path": "b.mp4"}, "deep/a.mov", "deep/a.avi"]
    manifest = write(videos / "list.json", json.dumps(rows))
    assert ids(manifest) == ["zebra", "7", "deep/a.mov", "deep/a.avi"]
    assert ids(manifest, 2) == ["zebra", "7"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.txt", "# nothing\n\n", "list.txt: no video found"),
        ("list.csv", "file,id\nb.mp4,1\n", "list.csv, line 1: no column named video or path"),
        ("list.csv", "id,video\n1,b.mp4\n2,\n", "list.csv, line 3: no path of a video"),
        ("list.jsonl", '"b.mp4"\n{"clip": "b.mp4"}\n', "list.jsonl, line 2: no path of a video"),
        ("list.jsonl", '"b.mp4"\n{"video": \n', "list.jsonl, line 2: not JSON"),
        ("list.jsonl", '"b.mp4"\n17\n', "list.jsonl, line 2: no path of a video"),
        ("list.json", '["b.mp4", null]', "list.json, entry 2: no path of a video"),
        ("list.json", '{"b": "b.mp4"}', "list.json: not a list"),
        ("list.json", "[", "list.json: not JSON"),
        ("list.txt", "b.mp4\ndeep/a.mov\nb.mp4\n", "list.txt, line 3: the id 'b.mp4' is there already, from .*line 1"),
        ("list.csv", "id,video\n1,b.mp4\n1,deep/a.mov\n", "line 3: the id '1' is there already, from .*line 2"),
        ("list.yaml", "b.mp4", "list.yaml: neither a video nor a manifest"),
    ],
)
def test_manifest_that_does_not_do(name: str, text: str, message: str, videos: Path) -> None:
    with pytest.raises(SaviError, match=message) as refusal:
        find_clips(write(videos / name, text))
    assert "\n" not in str(refusal.value)


def test_manifest_that_is_no_text(videos: Path) -> None:
    (videos / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SaviError, match=r"list.txt: can't be read"):
        find_clips(videos / "list.txt")


@pytest.mark.parametrize("name", ["nowhere", "nowhere/*.mp4", "nowhere.csv"])
def test_source_that_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=re.escape(f"{tmp_path}/{name}: no ")):
        find_clips(f"{tmp_path}/{name}")


def test_folder_without_videos(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"no video found \(known suffixes: .*\.mp4"):
        find_clips(tmp_path)
