"""Storage that never makes training wait, and never loses what it has acknowledged.

    from qstore import AsyncMetricsLogger, CheckpointManager

    with AsyncMetricsLogger("run/metrics.parquet") as logger, CheckpointManager("run/checkpoints") as manager:
        for step in range(1000):
            logger.log_step(epoch=0, step=step, train_loss=0.5, accuracy=0.9)
        manager.save(0, model.state_dict(), optimizer.state_dict())

``pandas.read_parquet("run/metrics.parquet")`` works at any moment, also while the run goes on and after it was
killed; a checkpoint appears as a whole or not at all. ``qstore.compat`` has the names and the behavior of ``q_store.storage``.
"""

from ._native import (
    VERSION as __version__,
    Error,
    ForkedError,
    Logged,
    OpenError,
    StoppedError,
    Tensor,
    WriteError,
)

# As `typing.TYPE_CHECKING`, whose import alone would take longer than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .buffer import AsyncBuffer
    from .checkpoints import CheckpointManager
    from .errors import CheckpointError, DamagedError, NotFoundError, SaveError, StateError
    from .logger import AsyncMetricsLogger
    from .metrics import QuantumMetrics, TrainingMetrics
    from .ticket import SaveOutcome, SaveTicket
    from .writer import AsyncMetricsWriter

__all__ = [
    "AsyncBuffer",
    "AsyncMetricsLogger",
    "AsyncMetricsWriter",
    "CheckpointError",
    "CheckpointManager",
    "DamagedError",
    "Error",
    "ForkedError",
    "Logged",
    "NotFoundError",
    "OpenError",
    "QuantumMetrics",
    "SaveError",
    "SaveOutcome",
    "SaveTicket",
    "StateError",
    "StoppedError",
    "Tensor",
    "TrainingMetrics",
    "WriteError",
    "__version__",
]

#: The modules of the names that are imported when they are first used, so that `import qstore` costs a millisecond.
_HOMES = {
    "AsyncBuffer": "buffer",
    "AsyncMetricsLogger": "logger",
    "AsyncMetricsWriter": "writer",
    "CheckpointError": "errors",
    "CheckpointManager": "checkpoints",
    "DamagedError": "errors",
    "NotFoundError": "errors",
    "QuantumMetrics": "metrics",
    "SaveError": "errors",
    "SaveOutcome": "ticket",
    "SaveTicket": "ticket",
    "StateError": "errors",
    "TrainingMetrics": "metrics",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
