"""The names and the behavior of ``q_store.storage`` 4.1, over this engine.

The one line to change::

    from qstore.compat import AsyncMetricsLogger, CheckpointManager  # was: from q_store.storage import …

What differs is what the original got wrong: ``stop`` writes every row, a kill loses nothing that was written, a
file has one writer, and a row with a value that cannot be stored costs that row only. A checkpoint is whole or does not
exist, the state is that of the call, and the newest save is never the one that is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import checkpoints
from ._native import load_zarr_group
from .buffer import AsyncBuffer
from .errors import NotFoundError
from .metrics import training_metrics
from .tensors import converter
from .writer import AsyncMetricsWriter

__all__ = [
    "AsyncBuffer",
    "AsyncMetricsLogger",
    "AsyncMetricsWriter",
    "CheckpointManager",
    "QuantumMetrics",
    "TrainingMetrics",
]


@dataclasses.dataclass
class TrainingMetrics:
    """One row, with the defaults of the original: a column that was not set is 0, 1024 or ``"simulator"``."""

    epoch: int
    step: int
    timestamp: float
    train_loss: float
    val_loss: float | None = None
    grad_norm: float = 0.0
    grad_max: float = 0.0
    grad_min: float = 0.0
    circuit_execution_time_ms: float = 0.0
    circuits_executed: int = 0
    qubits_used: int = 0
    shots_per_circuit: int = 1024
    backend: str = "simulator"
    queue_time_ms: float | None = None
    cost_usd: float | None = None
    credits_used: float | None = None
    batch_time_ms: float = 0.0
    throughput_samples_per_sec: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return dataclasses.asdict(self)


@dataclasses.dataclass
class QuantumMetrics:
    """One row of a quantum training log, with the defaults of the original."""

    epoch: int
    step: int
    timestamp: float
    train_loss: float
    val_loss: float | None = None
    grad_norm: float = 0.0
    gradient_variance: float = 0.0
    gradient_snr: float = 0.0
    circuit_depth: int = 0
    entangling_gates: int = 0
    measurement_bases_used: int = 1
    shots_per_circuit: int = 1024
    expressibility_score: float | None = None
    entanglement_entropy: float | None = None
    circuit_execution_time_ms: float = 0.0
    measurement_efficiency: float = 1.0
    cache_hit_rate: float = 0.0
    shots_used: int = 0
    estimated_cost_usd: float = 0.0
    circuits_executed: int = 0
    qubits_used: int = 0
    backend: str = "simulator"
    queue_time_ms: float | None = None
    grad_max: float = 0.0
    grad_min: float = 0.0
    cost_usd: float | None = None
    credits_used: float | None = None
    batch_time_ms: float = 0.0
    throughput_samples_per_sec: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return dataclasses.asdict(self)

    def to_training_metrics(self) -> TrainingMetrics:
        """The columns that both have; ``cost_usd`` falls back to ``estimated_cost_usd``."""
        return training_metrics(self, TrainingMetrics)


class AsyncMetricsLogger:
    """Logs training metrics. Its coroutines never suspend. Parameters as of ``qstore.AsyncMetricsLogger``."""

    def __init__(
        self, output_path: str | os.PathLike[str], buffer_size: int = 1000, flush_interval: int = 100
    ) -> None:
        self.output_path: Path = Path(output_path)
        self.buffer: AsyncBuffer = AsyncBuffer(maxsize=buffer_size, name="metrics_buffer")
        self.writer: AsyncMetricsWriter = AsyncMetricsWriter(self.buffer, self.output_path, flush_interval=flush_interval)
        self.writer.start()

    async def log_step(
        self, epoch: int, step: int, train_loss: float, grad_norm: float = 0.0, **kwargs: Any
    ) -> None:
        """Logs one step, stamped with the time of this call.

        :raises TypeError: for a name that is not a column of ``TrainingMetrics``.
        """
        timestamp = kwargs.pop("timestamp", None) or time.time()
        await self.log(
            TrainingMetrics(
                epoch=epoch, step=step, timestamp=timestamp, train_loss=train_loss, grad_norm=grad_norm, **kwargs
            )
        )

    async def log_epoch(
        self, epoch: int, train_metrics: dict[str, Any], val_metrics: dict[str, Any] | None = None
    ) -> None:
        """Logs one row that sums up an epoch, with step -1. Every metric is kept, under its own name if it is not
        a column of ``TrainingMetrics``; those of the validation begin with ``val_``.
        """
        row = TrainingMetrics(epoch=epoch, step=-1, timestamp=time.time(), train_loss=0.0).to_dict()
        names = {"loss": "train_loss", "circuit_time_ms": "circuit_execution_time_ms"}
        row.update({names.get(name, name): value for name, value in train_metrics.items()})
        for name, value in (val_metrics or {}).items():
            row[name if name.startswith("val_") else f"val_{name}"] = value
        await self.log(row)

    async def log(self, metrics: Any) -> None:
        """Logs a whole row."""
        self.buffer.push(metrics)

    def stop(self) -> None:
        """Writes every row and ends the thread."""
        self.writer.stop()

    def stats(self) -> dict[str, Any]:
        """``{"buffer": …, "writer": …}``."""
        return {"buffer": self.buffer.stats(), "writer": self.writer.stats()}


class CheckpointManager:
    """Saves and loads checkpoints. ``save`` returns when the checkpoint is durable and older ones are removed.

    Parameters as of ``qstore.CheckpointManager``.
    The checkpoints of the original in the same directory are listed and loaded, and never changed or removed.

    :raises ValueError: for a codec other than ``"zstd"``, ``"lz4"`` and ``"gzip"``.
    """

    def __init__(
        self,
        checkpoint_dir: str | os.PathLike[str],
        keep_last: int = 5,
        compression: str = "zstd",
        compression_level: int = 3,
    ) -> None:
        if compression not in ("zstd", "lz4", "gzip"):
            raise ValueError(f"Unknown compression: {compression}")
        self._manager = checkpoints.CheckpointManager(checkpoint_dir, keep_last, compression, compression_level)
        self.checkpoint_dir: Path = self._manager.checkpoint_dir
        self.keep_last = keep_last
        self.compression = compression
        self.compression_level = compression_level

    async def save(
        self,
        epoch: int,
        model_state: dict[str, Any],
        optimizer_state: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Saves a checkpoint. The event loop goes on while the state is copied, and while it is written.

        The state is copied in a thread: other tasks must not change its arrays until this returns.
        """
        import asyncio

        ticket = await asyncio.to_thread(self._manager.save, epoch, model_state, optimizer_state or None, metadata)
        await ticket

    async def load(self, epoch: int) -> dict[str, Any]:
        """``epoch``, ``model_state``, ``optimizer_state`` ({} if there is none) and ``metadata``, which also has
        ``epoch``, ``timestamp`` and ``save_duration_ms``.

        :raises ValueError: if there is no such checkpoint.
        """
        import asyncio

        return await asyncio.to_thread(self._load, epoch)

    def _load(self, epoch: int) -> dict[str, Any]:
        original = self._of_the_original(epoch)
        if original is not None:
            native = load_zarr_group(original, converter(None))
            parts = native["parts"]
            loaded = {**native, "model_state": parts.get("model"), "optimizer_state": parts.get("optimizer")}
        else:
            with _as_the_original_says(epoch):
                loaded = self._manager.load(epoch)
        return {
            "epoch": epoch,
            "model_state": loaded["model_state"],
            "optimizer_state": {} if loaded["optimizer_state"] is None else loaded["optimizer_state"],
            "metadata": _attributes(loaded, epoch),
        }

    def list_checkpoints(self) -> list[int]:
        """The epochs, in ascending order."""
        found = set(self._manager.list_checkpoints())
        for path in self.checkpoint_dir.iterdir():
            match = re.fullmatch(r"epoch_(\d{4,})", path.name)
            if match and self._of_the_original(int(match[1])) == path:
                found.add(int(match[1]))
        return sorted(found)

    def latest_checkpoint(self) -> int | None:
        """The epoch of the newest save; the largest of the original's, if there is no other."""
        latest = self._manager.latest_checkpoint()
        return latest if latest is not None else max(self.list_checkpoints(), default=None)

    def get_checkpoint_info(self, epoch: int) -> dict[str, Any]:
        """``epoch``, ``timestamp``, ``model_size_mb`` and ``metadata``.

        :raises ValueError: if there is no such checkpoint.
        """
        original = self._of_the_original(epoch)
        if original is not None:
            info = load_zarr_group(original)  # the sizes of its arrays are in no other place
        else:
            with _as_the_original_says(epoch):
                info = self._manager.get_checkpoint_info(epoch)
        return {
            "epoch": epoch,
            "timestamp": info["timestamp"],
            "model_size_mb": info["model_size_mb"],
            "metadata": _attributes(info, epoch),
        }

    def _of_the_original(self, epoch: int) -> Path | None:
        """The group that the original has saved, unless it was saved again since."""
        path = self.checkpoint_dir / f"epoch_{epoch:04d}"
        is_group = (path / ".zgroup").is_file() or (path / "zarr.json").is_file()
        is_ours = (path / "manifest.json").exists() or path.with_name(f"{path.name}.zarr.zip").exists()
        return path if is_group and not is_ours else None


@contextlib.contextmanager
def _as_the_original_says(epoch: int) -> Iterator[None]:
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(f"Checkpoint not found: epoch_{epoch:04d}") from error


def _attributes(loaded: dict[str, Any], epoch: int) -> dict[str, Any]:
    """The attributes that a group of the original has: what is known of the checkpoint, and the metadata beside it."""
    known = {"epoch": epoch, "timestamp": loaded["timestamp"], "save_duration_ms": loaded["save_duration_ms"]}
    return {**known, **loaded["metadata"]}
