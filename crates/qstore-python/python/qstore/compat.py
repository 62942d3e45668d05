"""The names and the behavior of ``q_store.storage`` 4.1, over this engine.

The one line to change::

    from qstore.compat import AsyncMetricsLogger, TrainingMetrics  # was: from q_store.storage import …

What differs is what the original got wrong: ``stop`` writes every row, a kill loses nothing that was written, a
file has one writer, and a row with a value that cannot be stored costs that row only.
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from .buffer import AsyncBuffer
from .metrics import training_metrics
from .writer import AsyncMetricsWriter

__all__ = ["AsyncBuffer", "AsyncMetricsLogger", "AsyncMetricsWriter", "QuantumMetrics", "TrainingMetrics"]


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
    """Logs training metrics. Its coroutines never suspend."""

    def __init__(
        self, output_path: str | os.PathLike[str], buffer_size: int = 1000, flush_interval: int = 100
    ) -> None:
        self.output_path = Path(output_path)
        self.buffer = AsyncBuffer(maxsize=buffer_size, name="metrics_buffer")
        self.writer = AsyncMetricsWriter(self.buffer, self.output_path, flush_interval=flush_interval)
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
