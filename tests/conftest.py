"""Fixtures that many tests share: built once, never changed."""

from __future__ import annotations

import gc
import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Imported modules stay: looking for garbage among them would take a sixth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Qwen2.5-VL in miniature."""
    from tools.tiny_models import build_qwen2_5_vl

    return build_qwen2_5_vl(tmp_path_factory.mktemp("random_base"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the small sets in the official shapes; a test that changes one works on a copy."""
    from tools.make_samples import write_samples

    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, clips=6)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _roomy_disk() -> Iterator[None]:
    """What is kept on disk doesn't depend on how full the disk is that the tests happen to run on."""
    roomy = shutil.disk_usage("/")._replace(total=2**40, used=0, free=2**40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: roomy)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Miniatures gain nothing from a second thread, and lose much where the cores are busy."""
    import torch

    torch.set_num_threads(1)


class _DeprecationHandler(logging.Handler):
    """Warns of what a library logs of its deprecations, so that the filters of pyproject.toml hold for them too."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if re.search(r"deprecat|will be removed|removed in", message, re.IGNORECASE):
            warnings.warn(f"{record.name}: {message}", FutureWarning, stacklevel=2)


@pytest.fixture(scope="session", autouse=True)
def _logged_deprecations() -> Iterator[None]:
    logger, handler = logging.getLogger("transformers"), _DeprecationHandler()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
