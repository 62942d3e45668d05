"""Storage that never makes training wait, and never loses what it has acknowledged.

    from qstore import AsyncMetricsLogger

    with AsyncMetricsLogger("run/metrics.parquet") as logger:
        for step in range(1000):
            logger.log_step(epoch=0, step=step, train_loss=0.5, accuracy=0.9)

``pandas.read_parquet("run/metrics.parquet")`` works at any moment, also while the run goes on and after it was
killed. ``qstore.compat`` has the names and the behavior of ``q_store.storage``.
"""

from ._native import (
    VERSION as __version__,
    Error,
    ForkedError,
    Logged,
    OpenError,
    StoppedError,
    WriteError,
)
from .buffer import AsyncBuffer
from .logger import AsyncMetricsLogger
from .metrics import QuantumMetrics, TrainingMetrics
from .writer import AsyncMetricsWriter

__all__ = [
    "AsyncBuffer",
    "AsyncMetricsLogger",
    "AsyncMetricsWriter",
    "Error",
    "ForkedError",
    "Logged",
    "OpenError",
    "QuantumMetrics",
    "StoppedError",
    "TrainingMetrics",
    "WriteError",
    "__version__",
]
