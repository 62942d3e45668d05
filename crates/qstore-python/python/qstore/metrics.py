"""The rows of a training log, as dataclasses."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, TypeVar

Row = TypeVar("Row")


@dataclasses.dataclass
class TrainingMetrics:
    """One row of a training log: 18 columns, in this order. What was not measured is None, and null in the file."""

    epoch: int
    step: int
    #: Seconds since 1970-01-01 UTC.
    timestamp: float = dataclasses.field(default_factory=time.time)
    train_loss: float | None = None
    val_loss: float | None = None
    grad_norm: float | None = None
    grad_max: float | None = None
    grad_min: float | None = None
    circuit_execution_time_ms: float | None = None
    circuits_executed: int | None = None
    qubits_used: int | None = None
    shots_per_circuit: int | None = None
    backend: str | None = None
    queue_time_ms: float | None = None
    cost_usd: float | None = None
    credits_used: float | None = None
    batch_time_ms: float | None = None
    throughput_samples_per_sec: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return dict(self.__dict__)


@dataclasses.dataclass
class QuantumMetrics:
    """One row of a quantum training log: 29 columns, in this order."""

    epoch: int
    step: int
    #: Seconds since 1970-01-01 UTC.
    timestamp: float = dataclasses.field(default_factory=time.time)
    train_loss: float | None = None
    val_loss: float | None = None
    grad_norm: float | None = None
    gradient_variance: float | None = None
    gradient_snr: float | None = None
    circuit_depth: int | None = None
    entangling_gates: int | None = None
    measurement_bases_used: int | None = None
    shots_per_circuit: int | None = None
    expressibility_score: float | None = None
    entanglement_entropy: float | None = None
    circuit_execution_time_ms: float | None = None
    measurement_efficiency: float | None = None
    cache_hit_rate: float | None = None
    shots_used: int | None = None
    estimated_cost_usd: float | None = None
    circuits_executed: int | None = None
    qubits_used: int | None = None
    backend: str | None = None
    queue_time_ms: float | None = None
    grad_max: float | None = None
    grad_min: float | None = None
    cost_usd: float | None = None
    credits_used: float | None = None
    batch_time_ms: float | None = None
    throughput_samples_per_sec: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The columns by name."""
        return dict(self.__dict__)

    def to_training_metrics(self) -> TrainingMetrics:
        """The columns that both have; ``cost_usd`` falls back to ``estimated_cost_usd``."""
        return training_metrics(self, TrainingMetrics)


def training_metrics(quantum: Any, kind: type[Row]) -> Row:
    """The columns of ``quantum`` that ``kind`` has, too."""
    common = {field.name: getattr(quantum, field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if common["cost_usd"] is None:
        common["cost_usd"] = quantum.estimated_cost_usd
    return kind(**common)
