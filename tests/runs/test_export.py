"""What leaves a run: base and aligned model asked side by side, and exports that answer alike without savi."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from savi.cli import main
from savi.runs import plain
from savi.runs.card import model_card
from savi.runs.read import read_run
from savi.video.decode import decode
from savi.world import BASE
from tests.models.stand_ins import UNASKED, stand_in
from tests.video.footage import film
from tools.tiny_models import build_qwen2_5_vl

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"
QUESTION = "which way does the cyan object move ?"


def asked(run: Path, video: Path, capsys: pytest.CaptureFixture[str], question: str = QUESTION) -> dict[str, str]:
    capsys.readouterr()
    main(["ask", str(video), question, f"--run={run}"])
    lines = capsys.readouterr().out.splitlines()
    return {name: text.strip() for name, _, text in (line.partition(" ") for line in lines)}


def answered_without_savi(folder: Path, video: Path) -> str:
    """What the export's own script prints in a process that can't import savi."""
    program = f"import runpy, sys; sys.modules['savi'] = None; sys.argv = {['ask.py', str(video), QUESTION]!r}; "
    program += f"runpy.run_path({str(folder / 'ask.py')!r}, run_name='__main__')"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    return line


def test_a_run_is_asked_from_python_as_the_readme_says(
    run: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (DEMO.parents[1] / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    assert 2 <= len(code.strip().splitlines()) <= 4
    replies = asked(run, video, capsys)
    code = code.replace("lightning_logs/demo/version_0", str(run)).replace("clip.mp4", str(video))
    exec(re.sub(r"what happens first \?", QUESTION, code), {})  # noqa: S102 (the page's own lines)
    assert capsys.readouterr().out.splitlines() == [replies["base"], replies["aligned"]]
    assert replies["base"] != replies["aligned"]


def test_an_adapter_answers_without_savi_as_it_does_with_it(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = asked(run, video, capsys)
    assert replies["base"] != replies["aligned"], "the rate is high enough to change the answer"
    main(["export", str(run), f"--to={tmp_path}"])
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["base_model_name_or_path"] == "base"
    assert answered_without_savi(tmp_path, video) == replies["aligned"]


def test_an_export_closes_a_thought_that_its_template_does_not_open(
    run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    thinking = tmp_path / "run"
    shutil.copytree(run, thinking)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["base"]["path"] = str(stand_in(BASE, tmp_path / "base", UNASKED))
    (thinking / "config.yaml").write_text(yaml.safe_dump(config))
    reply = asked(thinking, video, capsys)["aligned"]
    main(["export", str(thinking), f"--to={tmp_path / 'out'}"])
    monkeypatch.setattr(plain, "HERE", tmp_path / "out")
    capsys.readouterr()
    plain.main(str(video), QUESTION)
    assert capsys.readouterr().out.strip() == reply
    settings = json.loads((tmp_path / "out" / "ask.json").read_text())
    assert settings["no_thought"] == "<think>\n\n</think>\n\n"


def test_a_merged_model_is_the_base_plus_the_adapter(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = asked(run, video, capsys)
    main(["export", str(run), f"--to={tmp_path}", "--merged"])
    assert "4-bit" not in capsys.readouterr().out
    assert answered_without_savi(tmp_path, video) == replies["aligned"]
    adapter = load_file(run / "adapter" / "adapter_model.safetensors")
    base, merged = load_file(BASE / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    name = next(name for name in base if name.endswith("layers.0.mlp.down_proj.weight"))
    (down, up) = (
        next(w for n, w in adapter.items() if "layers.0.mlp.down_proj" in n and part in n) for part in ("_A", "_B")
    )
    torch.testing.assert_close(merged[name], base[name] + 16 / 8 * up @ down)  # alpha / r of the demo
    assert not torch.equal(merged[name], base[name])


def test_merging_a_run_over_four_bits_warns(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quantised = tmp_path / "run"
    shutil.copytree(run, quantised)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["base"]["nf4"] = True
    (quantised / "config.yaml").write_text(yaml.safe_dump(config))
    main(["export", str(quantised), f"--to={tmp_path / 'out'}", "--merged"])
    assert "held its base in 4 bits" in capsys.readouterr().out
    assert "held its base in 4 bits" in (tmp_path / "out" / "README.md").read_text()
    assert all(weight.dtype == torch.float32 for weight in load_file(tmp_path / "out" / "model.safetensors").values())
    main(["export", str(quantised), f"--to={tmp_path / 'adapter'}"])
    settings = json.loads((tmp_path / "adapter" / "ask.json").read_text())
    assert settings["nf4"]
    assert settings["unquantised"] == ["model.visual", "lm_head"]


@pytest.mark.parametrize(("rotation", "max_pixels"), [(None, None), (90, None), (180, None), (-90, None), (None, 4000)])
def test_the_script_sees_the_frames_that_savi_sees(
    rotation: int | None, max_pixels: int | None, tmp_path: Path
) -> None:
    path = film(tmp_path / "clip.mp4", frames=50, fps=30, rotation=rotation)
    ours = decode(path, 8, most_pixels=max_pixels)
    pixels, metadata = plain.frames_of(str(path), {"frames": 8, "max_pixels": max_pixels})
    assert torch.equal(pixels.permute(0, 2, 3, 1), ours.pixels)
    assert metadata.frames_indices == list(ours.indices)
    assert (metadata.fps, metadata.duration) == pytest.approx((ours.fps, ours.duration))


def test_the_card_tells_of_the_run(run: Path, tmp_path: Path) -> None:
    main(["export", str(run), f"--to={tmp_path}"])
    card = (tmp_path / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "peft"
    results = json.loads((run / "results.json").read_text())
    assert f"| 1 | {results['rounds'][-1]['pairs']} | " in card
    assert "8 rendered clips" in card
    assert yaml.safe_load(card.split("```")[1].removeprefix("yaml"))["optimizer"]["lr"] == 0.01


NAMED = "savi.methods"
ITSELF = {"class_path": f"{NAMED}.VideoSAVi", "init_args": {"critic": None}}
TEXT = {"class_path": f"{NAMED}.VideoSAVi", "init_args": {"critic": {"class_path": f"{NAMED}.critics.TextOnly"}}}


@pytest.mark.parametrize(
    ("pairs", "loss", "own", "says"),
    [
        (ITSELF, "sigmoid", True, "DPO taught it to prefer"),
        (None, "sigmoid", True, "DPO taught it to prefer"),
        (ITSELF, "ipo", False, "with savi: IPO on preference pairs"),
        (TEXT, "sigmoid", False, "method VideoSAVi(critic=TextOnly())."),
        ({"class_path": "mine.VideoSAVi"}, "sigmoid", False, "with savi: DPO on preference pairs"),
        ({"class_path": f"{NAMED}.Hound"}, "hinge", False, "with savi: the hinge loss on preference pairs"),
    ],
)
def test_the_card_says_by_its_own_criticism_of_videosavi_alone(
    pairs: dict[str, Any] | None, loss: str, own: bool, says: str, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["pairs"] = pairs
    config["model"]["dpo"]["loss"] = loss
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    card = model_card(read_run(tmp_path / "run"), merged=False)
    assert ("aligned by its own criticism" in card) == ("No annotator and no other model" in card) == own
    assert says in " ".join(card.split())


def test_the_newest_run_is_asked_if_none_is_named(
    run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no run with an adapter" in complaint(["ask", str(video), QUESTION], capsys)
    for version in range(2):
        copy = tmp_path / "lightning_logs" / "demo" / f"version_{version}"
        shutil.copytree(run, copy)
        os.utime(copy / "adapter" / "adapter_model.safetensors", (version, version))
    main(["ask", str(video), QUESTION])
    assert "version_1" in capsys.readouterr().out


def planted(base: Path, mark: Path) -> None:
    """Code in a copy of the shipped base that transformers imports, if it is told to trust it."""
    shutil.copytree(BASE, base)
    (base / "planted.py").write_text(
        f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n"
        "from transformers import Qwen2_5_VLConfig as Config, Qwen2_5_VLForConditionalGeneration as Model\n"
    )
    config = json.loads((base / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "planted.Config", "AutoModelForImageTextToText": "planted.Model"}
    (base / "config.json").write_text(json.dumps(config))


def test_a_strangers_run_folder_runs_no_code(
    run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    base, mark, theirs = tmp_path / "base", tmp_path / "mark", tmp_path / "theirs"
    planted(base, mark)
    shutil.copytree(run, theirs)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["base"] |= {"path": str(base), "trust_remote_code": True}
    (theirs / "config.yaml").write_text(yaml.safe_dump(config))
    written = json.loads((run / "adapter" / "adapter_config.json").read_text())
    written |= {"megatron_config": {"a": 1}, "megatron_core": "planted", "base_model_name_or_path": str(base)}
    (theirs / "adapter" / "adapter_config.json").write_text(json.dumps(written))
    monkeypatch.syspath_prepend(str(base))
    for command in (
        ["ask", str(video), QUESTION, f"--run={theirs}"],
        ["export", str(theirs), f"--to={tmp_path / 'adapter'}"],
        ["export", str(theirs), f"--to={tmp_path / 'merged'}", "--merged"],
    ):
        capsys.readouterr()
        main(command)
        assert f"base: {base}, named by {theirs / 'config.yaml'}" in capsys.readouterr().err
    assert not mark.exists()
    exported = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert not exported.get("megatron_config")
    # The code would have run: who asks for it on the command line gets it. In a process of its own, which it changes.
    command = ["ask", str(video), QUESTION, f"--run={theirs}", "--trust-remote-code"]
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "savi.cli", *command], env=environment, capture_output=True, check=False)
    assert mark.exists()


def test_a_runs_base_is_read_from_safetensors_alone(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    torch.save(load_file(weights), tmp_path / "base" / "pytorch_model.bin")
    weights.unlink()
    ask = ["ask", str(video), QUESTION, f"--run={run}", f"--base={tmp_path / 'base'}"]
    assert "could not be loaded" in complaint(ask, capsys)
    main([*ask, "--trust-remote-code"])


def test_an_adapter_of_another_scale_than_the_runs_is_refused(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 64}))
    assert "its lora_alpha is 64" in complaint(["ask", str(video), QUESTION, f"--run={tmp_path / 'run'}"], capsys)


def test_wrong_uses_are_one_line(run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, empty, to = tmp_path / "full", tmp_path / "empty", tmp_path / "to"
    full.mkdir()
    empty.mkdir()
    (full / "file").touch()
    young = tmp_path / "young"
    shutil.copytree(run, young)
    shutil.rmtree(young / "adapter")
    old = tmp_path / "old"
    shutil.copytree(run, old)
    (old / "results.json").write_text('{"run": {"base": "world"}, "rounds": []}')
    other = build_qwen2_5_vl(tmp_path / "other", seed=1)
    bases = {}
    for model_type in ("llama", "llava"):
        bases[model_type] = tmp_path / model_type
        bases[model_type].mkdir()
        (bases[model_type] / "config.json").write_text(json.dumps({"model_type": model_type}))
    ask = ["ask", str(video), QUESTION]
    for arguments, said in (
        (["export", str(run), f"--to={full}"], "not an empty folder"),
        (["export", str(run), f"--to={full}", "--merged"], "not an empty folder"),
        (["export", str(run)], "--to"),
        (["export", str(empty), f"--to={to}"], "is no run"),
        (["export", str(young), f"--to={to}"], "first round isn't finished"),
        (["export", str(old), f"--to={to}"], "another version of savi ('base_fingerprint')"),
        (["export", str(run), f"--to={to}", "--merged", f"--base={other}"], "made over another model"),
        ([*ask, f"--run={run}", f"--base={other}"], "made over another model"),
        ([*ask, f"--run={run}", f"--base={bases['llama']}"], "'llama', which takes no video"),
        ([*ask, f"--run={run}", f"--base={bases['llava']}"], "'llava', which takes no video"),
        (["ask", str(full / "file"), QUESTION, f"--run={run}"], "empty file"),
        (["ask", str(full / "nothing.mp4"), QUESTION, f"--run={run}"], "nothing.mp4"),
        (["ask", str(video)], "question"),
    ):
        assert said in complaint(arguments, capsys), arguments
    assert not list(to.glob("*"))
