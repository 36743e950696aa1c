"""Whatever is wrong with a checkpoint's files is one line; what is missing without doubt is supplied."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import AutoConfig, AutoProcessor

from savi.errors import SaviError
from savi.models.load import BaseSettings, load_base, load_known
from tools.tiny_models import build_llava_next_video


def test_a_video_processor_that_has_no_file_takes_the_values_of_the_image_processor(tmp_path: Path) -> None:
    """As LLaVA-NeXT-Video was published: transformers looks for the missing class in itself, without end."""
    whole = build_llava_next_video(tmp_path / "whole")
    old = tmp_path / "old"
    shutil.copytree(whole, old)
    settings = json.loads((whole / "processor_config.json").read_text())
    (old / "preprocessor_config.json").write_text(json.dumps(settings.pop("image_processor")))
    del settings["video_processor"]
    (old / "processor_config.json").write_text(json.dumps(settings))
    with pytest.warns(UserWarning, match=r"has no video_preprocessor_config\.json"):
        processor = load_known(BaseSettings(path=str(old))).processor
    expected = AutoProcessor.from_pretrained(whole)
    assert processor.to_dict() == expected.to_dict()
    assert processor.chat_template == expected.chat_template
    assert processor.video_processor.to_dict() == expected.video_processor.to_dict()


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut("config.json"), "could not be read"),
        (cut("model.safetensors"), "could not be loaded"),
        (cut("tokenizer.json"), "no usable processor"),
        (cut("processor_config.json"), "no usable processor"),
        (written("processor_config.json", '{"image_processor": 3}'), "no usable processor"),
        (written("chat_template.jinja", "{% for m in messages %}"), "no usable chat template"),
        (written("chat_template.jinja", "{{ messages[7].content.nothing }}"), "no usable chat template"),
    ],
)
def test_a_damaged_file_is_one_line(
    damage: Callable[[Path], None], says: str, random_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(random_base, folder)
    damage(folder)
    with pytest.raises(SaviError, match=says) as refusal:
        load_base(BaseSettings(path=str(folder)))
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("model.base.path")


def refused(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub/a/b"))


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (GatedRepoError("403", response=refused(403)), r"accept its terms on .*/a/b, then run `hf auth login`$"),
        (RepositoryNotFoundError("404", response=refused(404)), r"the hub has no such checkpoint: .*spelling"),
        (LocalEntryNotFoundError("no network"), r"run `hf download a/b` where there is a network, or give a folder"),
        (ValueError("a damaged file"), r"could not be read: a damaged file$"),
    ],
)
def test_a_name_of_the_hub_that_cannot_be_had_says_what_to_do(
    cause: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        try:
            raise cause
        except Exception as error:
            # As transformers does, whose own words end at a line break.
            raise OSError(f"{error}\nand more") from error

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(SaviError, match=says) as refusal:
        load_known(BaseSettings(path="a/b"))
    assert "\n" not in str(refusal.value)


def test_a_name_with_code_of_its_own_hints_at_the_converted_checkpoint(random_base: Path, tmp_path: Path) -> None:
    """As the first InternVL3 checkpoints: their type is unknown to transformers, and their configuration is code."""
    folder = tmp_path / "InternVL9"
    shutil.copytree(random_base, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "internvl_chat", "auto_map": {"AutoConfig": "configuration_chat.ChatConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SaviError, match=r"code of its own.*InternVL9-hf$"):
        load_known(BaseSettings(path=str(folder)))
