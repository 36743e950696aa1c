"""A GPU that isn't there: a torch device whose tensors are in main memory and behave as CUDA's do.

An operation between one of its tensors and one of the host fails as on CUDA, unless the host's is a single number. So
does handing one to numpy. Whatever makes the host of a GPU wait is counted by the line of savi that asked for it.

It takes the slot that torch has for other backends, for the whole process. So it needs a process of its own.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import savi

NAME = "pretended"
DEVICE = torch.device("privateuseone", 0)
"""The device. It prints as NAME once it is registered."""

HOST = torch.device("cpu")
SAVI = str(Path(savi.__file__).parent)

aten = torch.ops.aten

TRANSFERS = {aten._to_copy.default, aten.copy_.default}
"""The operations that go between device and host."""

READS = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.bincount.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
}
"""Operations whose host waits for a value, or for the size of the result."""

INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index}
"""CUDA takes indices of the host here and copies them. A library may do that, savi may not."""

TAKES_A_NUMBER = {aten.fill_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor}
"""Operations that take a single number of the host, besides the elementwise ones."""

waits: Counter[str] = Counter()
"""Waits of the host, by file, line and operation."""

launched: Counter[str] = Counter()
"""Operations on the device. The host waits at an event if it has launched none behind it: the device has no work."""

on_its_way: list[tuple[Tensor, Tensor]] = []
"""Copies for the host that it doesn't wait for, each with what it will hold. Until then they hold zeros."""


class OnDevice(Tensor):
    """A tensor on the pretended device. held: its numbers, a tensor of the host."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        make: Any = torch.Tensor._make_wrapper_subclass  # type: ignore[attr-defined]  # it has no stub
        strides, start = held.stride(), held.storage_offset()
        made: OnDevice = make(cls, held.shape, strides=strides, storage_offset=start, dtype=held.dtype, device=DEVICE)
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]  # torch's takes more
        return f"OnDevice({self.held})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In a file it is a tensor of the host."""
        return self.held.__reduce_ex__(protocol)

    def untyped_storage(self) -> torch.UntypedStorage:
        """What tells shared tensors apart, for safetensors."""
        return self.held.untyped_storage()

    def tolist(self) -> Any:
        """torch has none for subclasses."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.is_inference_mode_enabled():
            return _run(func, args, kwargs or {})
        # In this mode a wrapper can't be made a view of another, and operations made of others come here whole.
        with torch.inference_mode(False), torch.no_grad():
            return func(*args, **kwargs or {}) if _is_composite(func) else _run(func, args, kwargs or {})


class Event:
    """In place of torch's: copies that the host doesn't wait for are there when an event behind them is."""

    def __init__(self, device: torch.device) -> None:
        assert _is_ours(device)

    def record(self) -> None:
        self.copies, on_its_way[:] = list(on_its_way), []
        self.launched = launched.total()

    def synchronize(self) -> None:
        if launched.total() == self.launched:
            _count(Event.synchronize)
        for copy, held in self.copies:
            copy.copy_(held)


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    launched[str(func)] += 1
    tensors = [*_tensors(args), *_tensors(list(kwargs.values()))]
    asked = kwargs.get("device")
    if func in TRANSFERS:
        places = {type(one) is OnDevice for one in tensors[:2]} | ({_is_ours(asked)} if asked else set())
        if len(places) > 1 and not kwargs.get("non_blocking"):
            _count(func)
    elif any(type(one) is OnDevice for one in tensors):
        _check_places(func, tensors)
        _count_reads(func, args, kwargs)
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    kwargs = {name: _held(value) for name, value in kwargs.items()}
    if asked and _is_ours(asked):
        kwargs["device"] = HOST
    if func is aten.histc.default and not args[0].is_floating_point():
        return OnDevice(aten.histc.default(args[0].held.float(), *args[1:], **kwargs).to(args[0].dtype))  # CUDA's does
    results = func(*_held(args), **kwargs)
    if asked and not _is_ours(asked):
        if not kwargs.get("non_blocking"):
            return results
        on_its_way.append((torch.zeros_like(results), results))
        return on_its_way[-1][0]
    written = _written(func)
    wrapped = [
        given[name] if name else _wrapped(result)
        for name, result in zip(written, results if len(written) > 1 else [results], strict=False)
    ]
    for one in _tensors(wrapped):
        if type(one) is OnDevice and one.shape != one.held.shape:
            raise NotImplementedError(f"{func} changes the shape of a tensor in place")
    return wrapped[0] if len(wrapped) == 1 else tuple(wrapped) or None


@cache
def _is_composite(func: Any) -> bool:
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


@cache
def _written(func: Any) -> tuple[str | None, ...]:
    """For each result the argument that it is, None for a new tensor."""
    by_set = {
        str(argument.alias_info.before_set): argument.name
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    return tuple(
        by_set.get(str(result.alias_info.before_set)) if result.alias_info is not None else None
        for result in func._schema.returns
    )


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _held(value: Any) -> Any:
    if type(value) is OnDevice:
        return value.held
    return type(value)(map(_held, value)) if type(value) in (list, tuple) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return OnDevice(value)
    return type(value)(map(_wrapped, value)) if type(value) in (list, tuple) else value


def _check_places(func: Any, tensors: Sequence[Tensor]) -> None:
    """Raise RuntimeError, as CUDA does, for an operation that mixes the device with the host."""
    hosts = [one for one in tensors if type(one) is not OnDevice]
    takes_a_number = torch.Tag.pointwise in func.tags or func in TAKES_A_NUMBER
    if all(one.ndim == 0 for one in hosts) and (takes_a_number or not hosts):
        return
    if func.overloadpacket in INDEXING and type(tensors[0]) is OnDevice and not _is_savi_calling():
        _count(func)
        return
    shapes = ", ".join(str(tuple(one.shape)) for one in hosts)
    raise RuntimeError(f"Expected all tensors to be on the same device: {func} got {shapes} of the host")


def _count_reads(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    if func in READS and kwargs.get("output_size") is None:
        _count(func)
    if func.overloadpacket in INDEXING:
        for index in args[1]:
            if type(index) is OnDevice and index.dtype in (torch.bool, torch.uint8):
                _count(func)


def _count(func: Any) -> None:
    frame: Any = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(SAVI):
        frame = frame.f_back
    name = f"{Path(frame.f_code.co_filename).relative_to(SAVI)}:{frame.f_lineno}" if frame else "elsewhere"
    waits[f"{name} {func}"] += 1


def _is_savi_calling() -> bool:
    """Whether a line of savi calls the operation, not a line of a library."""
    frame: Any = sys._getframe()
    while frame.f_code.co_filename == __file__ or "/torch/" in frame.f_code.co_filename:
        frame = frame.f_back
    return bool(frame.f_code.co_filename.startswith(SAVI))


def _is_ours(device: torch.device | str) -> bool:
    return torch.device(device).type in (NAME, "privateuseone")


@contextmanager
def counted_waits() -> Iterator[Counter[str]]:
    """The waits inside, once it is left."""
    before, inside = waits.copy(), Counter[str]()
    yield inside
    inside.update(waits - before)


class _Module:
    """What torch asks of the module of a device."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def manual_seed_all(self, seed: int) -> None:
        """The host's generator draws for the device too."""

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(1)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def _factories() -> Iterator[tuple[str, Any]]:
    """The operations that make a tensor out of none, whose device is an argument."""
    for full in torch._C._dispatch_get_all_op_names():
        space, _, name = full.partition("::")
        if space != "aten" or any(word in name for word in ("sparse", "quantized", "nested", "from_file")):
            continue
        packet, _, overload = name.partition(".")
        func: Any = getattr(getattr(aten, packet), overload or "default", None)
        types = {argument.name: str(argument.type) for argument in func._schema.arguments} if func else {}
        if {"device", "pin_memory"} <= types.keys() and not any("Tensor" in kind for kind in types.values()):
            yield name, func


def _factory(func: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: OnDevice(func(*args, **{**kwargs, "device": HOST, "pin_memory": None}))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    copied: Tensor = _run(aten.copy_.default, (target, source), {"non_blocking": non_blocking})
    return copied


_libraries: list[torch.library.Library] = []


def register() -> torch.device:
    """Make the device known to torch for as long as the process lives."""
    if not _libraries:
        _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
        library = torch.library.Library("aten", "IMPL")
        for name, func in _factories():
            library.impl(name, _factory(func), "PrivateUse1")
        # torch.tensor() goes below the wrapper for these two.
        library.impl("_copy_from", _copy_from, "PrivateUse1")
        library.impl(
            "_local_scalar_dense", lambda one: _run(aten._local_scalar_dense.default, (one,), {}), "PrivateUse1"
        )
        _libraries.append(library)
        torch.Event = Event
        torch.autograd.set_multithreading_enabled(False)
    return DEVICE
