"""`savi predict`: replies to a file of questions, the same bytes after a kill, and the mistakes that it refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.runs import predict as prediction
from tests.runs.test_export import asked, complaint

QUESTIONS = ("which way does the cyan object move ?", "where is the red object ?", "what happens first ?")


@pytest.fixture(scope="module")
def questions(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen questions about five clips, in turn, so that no clip's questions are next to each other."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "clips").mkdir()
    records = [json.loads(line) for line in (run / "traces" / "round_00.jsonl").read_text().splitlines()]
    videos = sorted({record["video"] for record in records})[:5]
    names = [shutil.copy(video, folder / "clips" / f"{index}.mp4") for index, video in enumerate(videos)]
    rows = [
        {"id": f"{question[:5]}-{Path(name).stem}", "video": f"clips/{Path(name).name}", "question": question}
        for question in QUESTIONS
        for name in names
    ]
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def predicted(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def command(run: Path, questions: Path, output: Path, *more: str) -> list[str]:
    return ["predict", str(run), f"--questions={questions}", f"--output={output}", "--batch-clips=2", *more]


@pytest.fixture(scope="module")
def whole(run: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a prediction that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "replies.jsonl"
    main(command(run, questions, output, "--both"))
    return output.read_bytes()


def test_each_question_has_a_row_and_the_rows_come_clip_by_clip(questions: Path, whole: bytes) -> None:
    rows = [json.loads(line) for line in whole.splitlines()]
    assert all(list(row) == ["id", "video", "question", "reply", "base_reply"] for row in rows)
    given = predicted(questions)
    assert [(row["id"], row["video"], row["question"]) for row in rows] == [
        (row["id"], row["video"], row["question"]) for row in sorted(given, key=lambda row: row["video"])
    ]
    assert any(row["reply"] != row["base_reply"] for row in rows)


def test_a_reply_is_that_of_ask(run: Path, questions: Path, whole: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(whole.splitlines()[4])
    replies = asked(run, questions.parent / row["video"], capsys, row["question"])
    assert (replies["base"], replies["aligned"]) == (row["base_reply"], row["reply"])


def test_each_clip_is_decoded_and_read_once(
    run: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    encode = prediction.VideoLM.encode

    def counting(self: Any, clips: Any, frames: Any) -> Any:
        read.extend(clip.id for clip in clips)
        return encode(self, clips, frames)

    monkeypatch.setattr(prediction.VideoLM, "encode", counting)
    main(command(run, questions, tmp_path / "replies.jsonl"))
    assert read == [f"clips/{index}.mp4" for index in range(5)]


def test_a_killed_process_resumes_to_the_same_bytes(run: Path, questions: Path, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "replies.jsonl"
    arguments = command(run, questions, output, "--both")
    program = (
        "import os, signal; from savi.cli import main; from savi.runs import reply_file\n"
        "add = reply_file.ReplyFile.add\n"
        "def kill(self, rows, clips):\n"
        "    if self.clips_done:\n"
        '        self._file.write(reply_file._line(rows[0]) + b\'{"id": "cut\'); self._file.flush()\n'
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    add(self, rows, clips)\n"
        f"reply_file.ReplyFile.add = kill\nmain({arguments!r})"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    left = output.read_bytes()
    assert left.endswith(b'{"id": "cut')
    assert whole.startswith(left[: left.rindex(b"\n") + 1])
    assert left.count(b"\n") == 7  # two clips of three questions, and a row of the batch that was cut off
    main(arguments)
    assert output.read_bytes() == whole


@pytest.mark.slow  # one process resumes a file above, and tests/distributed deals clips out
def test_two_processes_continue_a_file_to_the_bytes_of_one(
    run: Path, questions: Path, whole: bytes, tmp_path: Path
) -> None:
    output = tmp_path / "replies.jsonl"
    arguments = command(run, questions, output, "--both")
    main(arguments)
    output.write_bytes(b"".join(whole.splitlines(keepends=True)[:6]))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "savi.cli"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launcher, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [f"15 rows about 5 clips are in {output}"]
    assert output.read_bytes() == whole


def test_a_file_that_is_whole_is_left_alone_without_loading_a_model(
    run: Path, questions: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "replies.jsonl"
    main(command(run, questions, output, "--both"))
    monkeypatch.setattr(prediction, "load_aligned", lambda run: pytest.fail("a model is loaded"))
    main(command(run, questions, output, "--both"))
    assert output.read_bytes() == whole


def test_another_file_of_replies_is_refused_and_kept(
    run: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "replies.jsonl"
    main(command(run, questions, output))
    kept = output.read_bytes()
    monkeypatch.setattr(prediction, "load_aligned", lambda run: pytest.fail("a model is loaded"))
    assert "of a different setting (both)" in complaint(command(run, questions, output, "--both"), capsys)
    fewer = questions.with_name("fewer.jsonl")
    fewer.write_text("".join(questions.read_text().splitlines(keepends=True)[:3]))
    assert "of a different setting (questions, videos)" in complaint(command(run, fewer, output), capsys)
    other = tmp_path / "run"
    shutil.copytree(run, other)
    adapter = other / "adapter" / "adapter_model.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:-4] + b"\0\0\0\0")
    assert "of a different setting (run)" in complaint(command(other, questions, output), capsys)
    assert output.read_bytes() == kept
    (tmp_path / "replies.jsonl.made_from.json").unlink()
    assert "not one that savi predict began" in complaint(command(run, questions, output), capsys)
    assert output.read_bytes() == kept


def test_a_row_that_was_changed_since_is_named(
    run: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "replies.jsonl"
    main(command(run, questions, output))
    lines = output.read_text().splitlines(keepends=True)
    output.write_text("".join([*lines[:3], *lines[4:]]))
    assert "replies.jsonl, line 4: not the row of question 'which-1'" in complaint(
        command(run, questions, output), capsys
    )


def test_a_clip_that_cant_be_decoded_has_rows_with_the_reason(
    run: Path, questions: Path, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(questions.parent, tmp_path / "q")
    (tmp_path / "q" / "clips" / "1.mp4").write_bytes(b"no video")
    main(command(run, tmp_path / "q" / "questions.jsonl", tmp_path / "replies.jsonl"))
    assert "1 of the clips could not be decoded" in capsys.readouterr().out
    rows = predicted(tmp_path / "replies.jsonl")
    bad = [row for row in rows if row["video"] == "clips/1.mp4"]
    assert len(bad) == 3
    assert all(row["reply"] is None and row["error"] for row in bad)
    good = {row["id"]: row["reply"] for row in rows if "error" not in row}
    expected = {row["id"]: row["reply"] for row in map(json.loads, whole.splitlines())}
    assert good == {name: reply for name, reply in expected.items() if name in good}
    assert len(good) == 12


def test_a_checkpoint_without_a_run_answers_as_the_run_says_of_its_base(
    questions: Path, whole: bytes, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in whole.splitlines()]
    table = questions.with_name("table.csv")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["video", "question"])
        writer.writeheader()
        writer.writerows({"video": row["video"], "question": row["question"]} for row in rows)
    output = tmp_path / "replies.jsonl"
    settings = ["--max-new-tokens=12", "--batch-clips=2"]
    main(["predict", "--base=world", f"--questions={table}", f"--output={output}", *settings])
    answered = predicted(output)
    assert [row["id"] for row in answered] == list(range(1, 16))
    assert [row["reply"] for row in answered] == [row["base_reply"] for row in rows]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["{}"], "line 1: needs video and question, each a text"),
        (['{"video": "a.mp4", "question": " "}'], "line 1: needs video and question, each a text"),
        (['{"video": "b.mp4", "question": "?"}'], "line 1: no video at "),
        (['{"video": "a.mp4", "question": "?"', ""], "line 1: not JSON"),
        (['{"video": "a.mp4", "question": "?", "id": 1}'] * 2, "line 2: the id 1 is there already, from "),
        (['{"video": "a.mp4", "question": "?", "id": [1]}'], "line 1: the id must be a text or a whole number"),
        ([], "has no questions"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_loaded(
    rows: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").touch()
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(rows))
    # There is no such run: the questions are read first.
    assert said in complaint(command(tmp_path / "none", file, tmp_path / "replies.jsonl"), capsys)
    assert not (tmp_path / "replies.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name a RUN, or a checkpoint with --base"),
        (["--base=world", "--both"], "--both compares a run with its base"),
        (["run", "--frames=4"], "--frames: a run has its own"),
        (["--base=world", "--frames=0"], "--frames must be at least 1"),
        (["--base=world", "--batch-clips=0"], "--batch-clips must be at least 1"),
        (["--base=./nowhere"], "./nowhere is not a model folder"),
    ],
)
def test_options_that_dont_go_together_are_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").touch()
    file = tmp_path / "questions.jsonl"
    file.write_text('{"video": "a.mp4", "question": "?"}\n')
    output = tmp_path / "replies.jsonl"
    assert said in complaint(["predict", *options, f"--questions={file}", f"--output={output}"], capsys)
    assert not output.exists()
