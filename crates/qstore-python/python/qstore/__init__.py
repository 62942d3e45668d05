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
    from .checkpoints import CheckpointManager, Checkpoints
    from .errors import (
        AlreadyPaidError,
        CheckpointError,
        DamagedError,
        LedgerError,
        NotARunError,
        NotFoundError,
        OverBudgetError,
        RunError,
        RunExistsError,
        RunningError,
        SaveError,
        StateError,
        UnderWayError,
    )
    from .ledger import Batch, Job, Ledger
    from .logger import AsyncMetricsLogger
    from .metrics import QuantumMetrics, TrainingMetrics
    from .pages import show
    from .run import Resumed, Run, RunSettings
    from .run_reader import RunReader, RunStatus, edit_run, find_runs, latest_run, open_run
    from .tables import open_metrics
    from .ticket import SaveOutcome, SaveTicket
    from .writer import AsyncMetricsWriter

__all__ = [
    "AlreadyPaidError",
    "AsyncBuffer",
    "AsyncMetricsLogger",
    "AsyncMetricsWriter",
    "Batch",
    "CheckpointError",
    "CheckpointManager",
    "Checkpoints",
    "DamagedError",
    "Error",
    "ForkedError",
    "Job",
    "Ledger",
    "LedgerError",
    "Logged",
    "NotARunError",
    "NotFoundError",
    "OpenError",
    "OverBudgetError",
    "QuantumMetrics",
    "Resumed",
    "Run",
    "RunError",
    "RunExistsError",
    "RunReader",
    "RunSettings",
    "RunStatus",
    "RunningError",
    "SaveError",
    "SaveOutcome",
    "SaveTicket",
    "StateError",
    "StoppedError",
    "Tensor",
    "TrainingMetrics",
    "UnderWayError",
    "WriteError",
    "__version__",
    "edit_run",
    "find_runs",
    "latest_run",
    "open_metrics",
    "open_run",
    "show",
]

#: The modules of the names that are imported when they are first used, so that `import qstore` costs a millisecond.
_HOMES = {
    "AlreadyPaidError": "errors",
    "AsyncBuffer": "buffer",
    "AsyncMetricsLogger": "logger",
    "AsyncMetricsWriter": "writer",
    "Batch": "ledger",
    "CheckpointError": "errors",
    "CheckpointManager": "checkpoints",
    "Checkpoints": "checkpoints",
    "DamagedError": "errors",
    "Job": "ledger",
    "Ledger": "ledger",
    "LedgerError": "errors",
    "NotARunError": "errors",
    "NotFoundError": "errors",
    "OverBudgetError": "errors",
    "QuantumMetrics": "metrics",
    "Resumed": "run",
    "Run": "run",
    "RunError": "errors",
    "RunExistsError": "errors",
    "RunReader": "run_reader",
    "RunSettings": "run",
    "RunStatus": "run_reader",
    "RunningError": "errors",
    "SaveError": "errors",
    "SaveOutcome": "ticket",
    "SaveTicket": "ticket",
    "StateError": "errors",
    "TrainingMetrics": "metrics",
    "UnderWayError": "errors",
    "edit_run": "run_reader",
    "find_runs": "run_reader",
    "latest_run": "run_reader",
    "open_metrics": "tables",
    "open_run": "run_reader",
    "show": "pages",
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
