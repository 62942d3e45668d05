"""The types: what is declared is what is there, and the package keeps to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import qstore

pytest.importorskip("mypy")

PACKAGE = Path(qstore.__file__).parent


def run(*arguments, cache):
    environment = dict(os.environ, MYPYPATH=str(PACKAGE.parent), MYPY_CACHE_DIR=str(cache))
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cache, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_are_those_of_the_native_module(tmp_path):
    # What has the buffer protocol has this method for a type checker, and at run time from Python 3.12 on.
    allowed = tmp_path / "allowed"
    allowed.write_text("qstore._native.Tensor.__buffer__\n")
    flags = ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    run("mypy.stubtest", "qstore._native", *flags, cache=tmp_path)


def test_the_package_passes_a_strict_check(tmp_path):
    run("mypy", "--strict", str(PACKAGE), cache=tmp_path)


def test_a_program_that_uses_the_package_is_checked(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio
from qstore import AsyncBuffer, AsyncMetricsLogger, CheckpointManager, Logged, SaveOutcome

logger = AsyncMetricsLogger("m.parquet", buffer_size=10)
logged: Logged = logger.log_step(0, 1, 0.5, backend="simulator", accuracy=0.9)
size: int = AsyncBuffer(5).maxsize
manager = CheckpointManager("c", keep_last=3)

async def train() -> SaveOutcome:
    outcome = await manager.save(1, {"w": [1.0]}, metadata={"loss": 0.5})
    return await asyncio.create_task(manager.save(2, ((1,), {})))

epochs: list[int] = manager.list_checkpoints()
"""
    )
    run("mypy", "--strict", str(program), cache=tmp_path)
    program.write_text("from qstore import AsyncMetricsLogger\nAsyncMetricsLogger(5, buffer_size='many')\n")
    with pytest.raises(AssertionError, match="incompatible type"):
        run("mypy", "--strict", str(program), cache=tmp_path)
