"""savi on a GPU that isn't there, in a process of its own: it writes what it found to a file.

Whole runs go through the command line, in one process or two. Lightning's part is its own strategies over the pretended
device. Layers of bitsandbytes are left out, as they bring kernels of their own.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread
from types import ModuleType
from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry, CPUAccelerator
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, StrategyRegistry
from torch import distributed
from transformers import ProcessorMixin

from savi.cli import main, train
from savi.conversations import Message
from savi.inference import GenerateRequest, ScoreRequest
from savi.models import branch_cells, drawing, score, weights
from savi.models.family import Family
from savi.models.generate import continue_branches
from savi.models.kv_cache import fill_kv_cache
from savi.models.packed import PackedClips
from savi.models.plain import PlainSharing
from savi.models.video_lm import VideoLM
from savi.types import Frames, OpenedClip, Sampling
from tests.miniatures import build_lm, noise_clip
from tests.pretended_device import DEVICE, NAME, counted_waits, register
from tools.tiny_models import MINIATURES

CLIPS = [noise_clip(0, 32, 64, frames=4), noise_clip(1, 32, 32, frames=4)]
REQUESTS = [GenerateRequest(index % 2, "question " + "x" * index, seed=index) for index in range(4)]
RESPONSES = [ScoreRequest(1, "what is it?", ("a cat", "no")), ScoreRequest(0, "where", ("on the mat", ""))]
SHORT = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=4)
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen3_5_moe", "gemma4")
"""A clip shared under a tree mask, with deep features, under recurrent layers and experts, and under windows."""

FAULTS: tuple[tuple[ModuleType, str, str], ...] = (
    (score, "hidden.flatten(0, 1)[source.to(device)]", "hidden.flatten(0, 1)[source]"),
    (
        branch_cells,
        "rows = torch.arange(len(last), device=self.device)[:, None]",
        "rows = torch.arange(len(last))[:, None]",
    ),
    (branch_cells, "last = (self.sizes.cumsum(1) - 1).to(self.device)", "last = self.sizes.cumsum(1) - 1"),
    (drawing, "torch.from_numpy(draws).to(device)", "torch.from_numpy(draws)"),
    (weights, '.detach().to("cpu", torch.bfloat16)', ".detach().to(torch.bfloat16)"),
)
"""Lines of savi, and what is planted in their place."""

RUN = [
    "--config=demo",
    "--model.base.nf4=false",
    "--data.clip_count=2",
    "--data.benchmark_clips=1",
    "--data.readiness_clips=1",
    "--data.micro_batch_clips=1",
    "--data.pairs_per_step=4",
    "--data.workers=1",
    "--trainer.enable_progress_bar=false",
    f"--trainer.accelerator={NAME}",
]


class PretendedAccelerator(CPUAccelerator):
    """What Lightning asks of a kind of device."""

    def setup_device(self, device: torch.device) -> None:
        pass

    @staticmethod
    def parse_devices(devices: int | str | list[int]) -> int:
        return int(str(devices)) if str(devices).isdigit() else 1

    @staticmethod
    def get_parallel_devices(devices: int | str | list[int]) -> list[torch.device]:
        return [DEVICE] * int(str(devices))

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def name() -> str:
        return NAME


class OnePretended(SingleDeviceStrategy):
    """A run in one process."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "device": DEVICE})


class TwoPretended(DDPStrategy):
    """A run in several processes, which exchange through main memory."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(process_group_backend=f"cpu:gloo,{NAME}:{NAME}_gloo", **kwargs)

    @property
    def root_device(self) -> torch.device:
        return DEVICE

    def determine_ddp_device_ids(self) -> None:
        return None


def run_in_two_processes(runs: Path) -> list[int]:
    """The exit codes of two processes that fit a round."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "here"}

    def work(rank: int) -> None:
        os.environ.update(together, RANK=str(rank), LOCAL_RANK=str(rank))
        two = [*RUN, f"--runs={runs}", f"--trainer.strategy={NAME}_ddp", "--trainer.devices=2"]
        main(["fit", *two, "--trainer.max_epochs=1"])

    children = [_fork(lambda rank=rank: work(rank)) for rank in range(2)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _fork(work: Callable[[], None]) -> int:
    """A process that has imported everything already."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return child


def use(lm: VideoLM) -> dict[str, Any]:
    """Everything that a round does with a model."""
    clips, frames = zip(*((clip, lm.prepare(frames)) for clip, frames in CLIPS), strict=True)
    session = lm.encode(clips, frames)
    texts = [reply.text for reply in session.generate(REQUESTS, SHORT)]
    reference = session.score_reference(RESPONSES).logps.tolist()
    scores = session.score(RESPONSES)
    scores.logps.sum().backward()
    norms = [weight.grad.norm().item() for weight in lm.peft_model.parameters() if weight.grad is not None]
    ahead = [one.prepared is not None for one in frames]
    return {"texts": texts, "logps": reference + scores.logps.tolist(), "gradient": sum(norms), "ahead": ahead}


def prepares_behind_text(lm: VideoLM) -> list[bool]:
    """Whether frames are prepared before and after a clip behind a system message was read."""
    clip, frames = CLIPS[0]
    before = lm.prepare(frames).prepared is not None
    opened = OpenedClip("opened", clip.path, (Message("system", "Be brief."), Message("user", "", video=0)))
    lm.encode([opened], [frames])
    return [before, lm.prepare(frames).prepared is not None]


def use_plainly(lm: VideoLM) -> list[Any]:
    """The same where a clip is read anew for each prompt."""
    clips, frames = zip(*CLIPS, strict=True)
    read = PlainSharing(lm.model, lm.chat).read(clips, frames)
    with torch.no_grad():
        written = read.generate(REQUESTS[:2], SHORT)
    scores = lm.score_one_by_one(frames, RESPONSES[:1])
    return [[one.ids for one in written], scores.logps.tolist()]


def on_device(folder: Path, *, cuda_graphs: bool = False) -> VideoLM:
    lm = build_lm(folder, cuda_graphs=cuda_graphs)
    lm.peft_model.to(DEVICE)
    return lm


def waits_a_step(lm: VideoLM) -> float:
    """The host's waits for each token of replies that none of the branches ends."""
    clips, frames = zip(*CLIPS, strict=True)
    read = lm.encode(clips, frames).read
    assert isinstance(read, PackedClips)
    prompts = [lm.chat.prompt_ids(request.prompt, read.prefixes[request.clip]) for request in REQUESTS]
    banned = torch.tensor(lm.chat.banned_ids, device=DEVICE)
    counts = []
    for tokens in (2, 6):
        cache = fill_kv_cache(lm.model, lm.family, read.prefixes)
        sampling = Sampling(temperature=1.0, max_new_tokens=tokens)
        owners, never = [request.clip for request in REQUESTS], frozenset({-1})
        with counted_waits() as waits:
            given = (lm.model, lm.family, cache, owners, prompts, range(4), sampling, never, banned)
            continue_branches(*given, graphs=read.graphs)
        counts.append(waits.total())
    return (counts[1] - counts[0]) / 4


@contextmanager
def threads_of_the_processor() -> Iterator[list[str]]:
    """The names of the threads in which the processor works on the frames of files."""
    names: list[str] = []
    before = Family.video_inputs

    def noted(self: Family, processor: ProcessorMixin, text: str, frames: Frames) -> dict[str, torch.Tensor]:
        if frames.file:
            names.append(current_thread().name)
        return before(self, processor, text, frames)

    Family.video_inputs = noted  # type: ignore[method-assign]  # a spy
    try:
        yield names
    finally:
        Family.video_inputs = before  # type: ignore[method-assign]  # as it was


@contextmanager
def planted(module: ModuleType, line: str, fault: str) -> Iterator[None]:
    """Exchange a piece of a module's source for a faulty one, wherever savi uses it."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(line) == 1, line
    before = dict(vars(module))
    after = dict(before)
    exec(compile(source.replace(line, fault), str(module.__file__), "exec"), after)  # noqa: S102 (our own source)
    exchanged = [(before[name], after[name]) for name, value in before.items() if callable(value)]
    _exchange(exchanged)
    try:
        yield
    finally:
        _exchange([(new, old) for old, new in exchanged])


def _exchange(pairs: list[tuple[Any, Any]]) -> None:
    by_id = {id(old): new for old, new in pairs}
    for module in [module for name, module in sys.modules.items() if name.startswith("savi")]:
        for name, value in list(vars(module).items()):
            if id(value) in by_id:
                setattr(module, name, by_id[id(value)])


def complaint(folder: Path, module: ModuleType, line: str, fault: str) -> str | None:
    """What stops a planted fault."""
    with planted(module, line, fault):
        try:
            use(on_device(folder))
            weights.fingerprint(on_device(folder).model)
        except (RuntimeError, TypeError) as error:
            return str(error)
    return None


def prepare() -> None:
    """Make the device known to torch and Lightning."""
    register()
    torch.set_num_threads(1)
    AcceleratorRegistry.register(NAME, PretendedAccelerator)
    StrategyRegistry.register(NAME, OnePretended)
    StrategyRegistry.register(f"{NAME}_ddp", TwoPretended)
    distributed.Backend.register_backend(f"{NAME}_gloo", distributed.ProcessGroupGloo, devices=[NAME])
    train.close_fit = lambda *_: None  # tables and pictures have no tensors, and take longer than the run


def report_two(folder: Path) -> dict[str, Any]:
    """Of a round in two processes, and the next one in one."""
    runs = f"--runs={folder}"
    found = {"exit codes": run_in_two_processes(folder)}
    main(["fit", *RUN, runs, f"--trainer.strategy={NAME}", "--ckpt_path=last", "--trainer.max_epochs=2"])
    return found


def report(folder: Path) -> dict[str, Any]:
    """Of all that is done in one process."""
    found: dict[str, Any] = {}
    one = [*RUN, f"--runs={folder / 'runs'}", f"--trainer.strategy={NAME}"]
    with threads_of_the_processor() as found["processed in"]:
        main(["fit", *one, "--trainer.max_epochs=1"])
        main(["fit", *one, "--trainer.max_epochs=2", "--ckpt_path=last"])
        main(["validate", *one, "--ckpt_path=last"])
    folders = {name: MINIATURES[name](folder / name) for name in FAMILIES}
    found["plain"] = [use_plainly(place(folders["qwen2_5_vl"])) for place in (build_lm, on_device)]
    found["families"] = {name: [use(build_lm(path)), use(on_device(path))] for name, path in folders.items()}
    found["waits"] = {name: waits_a_step(on_device(folders[name])) for name in ("qwen2_5_vl", "qwen3_5_moe")}
    found["behind text"] = prepares_behind_text(on_device(folders["qwen2_5_vl"]))
    fixed = on_device(folders["qwen2_5_vl"], cuda_graphs=True)
    found["waits"]["steps that stay the same"] = waits_a_step(fixed)
    found["families"]["steps that stay the same"] = [found["families"]["qwen2_5_vl"][0], use(fixed)]
    found["planted"] = {fault: complaint(folders["qwen2_5_vl"], module, line, fault) for module, line, fault in FAULTS}
    return found


if __name__ == "__main__":
    prepare()
    target = Path(sys.argv[1])
    found = {"1": report, "2": report_two}[sys.argv[2]](target)
    (target / "found.json").write_text(json.dumps(found))
