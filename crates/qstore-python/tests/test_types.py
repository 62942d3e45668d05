"""The types: what is declared is what is there, and the package keeps to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import qstore

PACKAGE = Path(qstore.__file__).parent


def run(*arguments, cache):
    pytest.importorskip("mypy")
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
from pathlib import Path

from qstore import AsyncBuffer, AsyncMetricsLogger, Batch, CheckpointManager, Checkpoints, Job, Logged, Run, SaveOutcome, open_run

logger = AsyncMetricsLogger("m.parquet", buffer_size=10)
logged: Logged = logger.log_step(0, 1, 0.5, backend="simulator", accuracy=0.9)
size: int = AsyncBuffer(5).maxsize
manager = CheckpointManager("c", keep_last=3)

async def train() -> SaveOutcome:
    outcome = await manager.save(1, {"w": [1.0]}, metadata={"loss": 0.5})
    return await asyncio.create_task(manager.save(2, ((1,), {})))

epochs: list[int] = manager.list_checkpoints()

with Run.resume_or_start(Path("runs/a"), params={"lr": 0.1}, goal=("val_loss", "min")) as run:
    epoch: int = 0 if run.resumed is None else run.resumed.epoch
    run.log_step(epoch, 1, train_loss=0.5, grads=[0.5])
    run.save(epoch, {}, step=1)
    job: Job = run.ledger(budget_usd=5.0).intend("provider", Batch("device", 10)).submitted("job")
checkpoints: Checkpoints | None = open_run("runs/a").checkpoints
"""
    )
    run("mypy", "--strict", str(program), cache=tmp_path)
    for wrong in ("AsyncMetricsLogger(5, buffer_size='many')", "Run.create(tags=5)", "Run.create(learning_rate=0.1)"):
        program.write_text(f"from qstore import AsyncMetricsLogger, Run\n{wrong}\n")
        with pytest.raises(AssertionError, match="incompatible type|Unexpected keyword"):
            run("mypy", "--strict", str(program), cache=tmp_path)


def test_every_public_name_has_a_type_that_pyright_knows():
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--verifytypes", "qstore", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    report = json.loads(done.stdout)["typeCompleteness"]
    # Those of a framework have its classes as bases, and the demo is a program.
    others = tuple(f"qstore.{name}." for name in ("demo", "hf", "keras", "lightning"))
    names = {symbol["name"]: symbol for symbol in report["symbols"] if symbol["isExported"]}
    assert {"qstore.run.Run.create", "qstore.ledger.Ledger.intend"} <= set(names)
    unknown = [
        name
        for name, symbol in names.items()
        if not name.startswith(others) and (not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"])
    ]
    assert not unknown
