"""Qiskit: functions for the ``callback=`` of its algorithms, each of which logs a row for each call.

    import qstore.qiskit

    with AsyncMetricsLogger("run/metrics.parquet") as logger:
        VQE(estimator, ansatz, optimizer, callback=qstore.qiskit.vqe(logger)).compute_minimum_eigenvalue(operator)

They need nothing of Qiskit itself, so they serve all of its versions. A row has the value that is minimized as
``train_loss``, and the numbers, flags and texts that the algorithm passes besides as columns of their own.
"""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from .logger import AsyncMetricsLogger, renamed

__all__ = ["objective", "spsa", "vqe"]


def vqe(logger: AsyncMetricsLogger, epoch: int = 0, **columns: Any) -> Callable[..., None]:
    """For ``VQE`` and ``SamplingVQE``, which pass ``(eval_count, parameters, mean, metadata)``.

    Metadata that are called as a column of the row, such as ``step``, are ``step_logged``; ``shots`` are
    ``shots_per_circuit``. What is no scalar is left out.

    :param columns: Values for every row, such as ``backend="aer_simulator"`` or ``qubits_used=4``.
    """

    def callback(eval_count: int, parameters: Any, mean: Any, metadata: Mapping[str, Any] | None = None) -> None:
        scalars = {str(name): _scalar(value) for name, value in (metadata or {}).items()}
        known = {name: value for name, value in scalars.items() if value is not None}
        row = dict(columns)
        shots = known.get("shots")
        if isinstance(shots, numbers.Real) and shots % 1 == 0:
            row["shots_per_circuit"] = int(known.pop("shots"))
        loss = float(getattr(mean, "real", mean))
        logger.log_step(epoch, int(eval_count), loss, **row, **renamed(known, {*_OWN, *row}))

    return callback


#: The columns that every row has.
_OWN = ("epoch", "step", "timestamp", "train_loss")


def _scalar(value: Any) -> Any:
    """A value that a row can have; None for anything else. An array of one element is a scalar, too."""
    if isinstance(value, (str, numbers.Real)):
        return value
    if isinstance(value, numbers.Number):
        return str(value)  # complex
    try:
        item = value.item()
    except Exception:  # no scalar
        return None
    return item if isinstance(item, (str, numbers.Real)) else None


def spsa(logger: AsyncMetricsLogger, epoch: int = 0, **columns: Any) -> Callable[..., None]:
    """For the optimizers ``SPSA`` and ``QNSPSA``, which pass ``(nfev, parameters, value, stepsize, accepted)``.

    ``step`` counts the calls; ``circuits_executed`` is how often the function was evaluated since the call before.
    """
    steps = itertools.count()
    evaluated = 0

    def callback(nfev: int, parameters: Any, value: float, stepsize: float, accepted: bool) -> None:
        nonlocal evaluated
        count, evaluated = int(nfev) - evaluated, int(nfev)
        row = {"circuits_executed": count, **columns, "step_size": float(stepsize), "accepted": bool(accepted)}
        logger.log_step(epoch, next(steps), float(value), **row)

    return callback


def objective(logger: AsyncMetricsLogger, epoch: int = 0, **columns: Any) -> Callable[..., None]:
    """For the classifiers and regressors of ``qiskit-machine-learning``, which pass ``(weights, objective_value)``."""
    steps = itertools.count()

    def callback(weights: Any, objective_value: float) -> None:
        logger.log_step(epoch, next(steps), float(objective_value), **columns)

    return callback
