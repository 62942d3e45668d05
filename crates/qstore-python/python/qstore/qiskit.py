"""Qiskit: functions for the ``callback=`` of its algorithms, each of which logs a row for each call, and a client of IBM
Runtime for a ledger of jobs.

    import qstore.qiskit

    with AsyncMetricsLogger("run/metrics.parquet") as logger:
        VQE(estimator, ansatz, optimizer, callback=qstore.qiskit.vqe(logger)).compute_minimum_eigenvalue(operator)

They need nothing of Qiskit itself, so they serve all of its versions. A run serves as well as a logger. A row has the value that is minimized as
``train_loss``, and the numbers, flags and texts that the algorithm passes besides as columns of their own.
"""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from .ledger import Batch, job_state
from .logger import AsyncMetricsLogger, renamed
from .run import Run

__all__ = ["RuntimeProvider", "objective", "spsa", "vqe"]


def vqe(logger: AsyncMetricsLogger | Run, epoch: int = 0, **columns: Any) -> Callable[..., None]:
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


def spsa(logger: AsyncMetricsLogger | Run, epoch: int = 0, **columns: Any) -> Callable[..., None]:
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


def objective(logger: AsyncMetricsLogger | Run, epoch: int = 0, **columns: Any) -> Callable[..., None]:
    """For the classifiers and regressors of ``qiskit-machine-learning``, which pass ``(weights, objective_value)``."""
    steps = itertools.count()

    def callback(weights: Any, objective_value: float) -> None:
        logger.log_step(epoch, next(steps), float(objective_value), **columns)

    return callback


class RuntimeProvider:
    """IBM Runtime as a ``qstore.ledger.Provider``: the token of a job is one of its tags.

        provider = RuntimeProvider(service)
        batch = Batch(backend.name, 1024, circuits=[qiskit.qasm3.dumps(circuit)], parameters=weights)
        job = ledger.send(provider, "ibm", batch, (sampler, [(circuit, weights)]))
        result = service.job(job.id).result()
        ledger.observe(job, **provider.status(job.id))

    The service does not refuse a token that it has seen: do not ``retry``, ``reconcile`` first. It was written after the
    service's documentation, and is tested over stand-ins of its objects.

    :param service: A ``QiskitRuntimeService``.
    :param usd_per_second: The price of a second of the processor. None leaves prices unknown.
    """

    def __init__(self, service: Any, *, usd_per_second: float | None = None) -> None:
        self._service = service
        self._price = usd_per_second

    def submit(self, token: str, batch: Batch, circuits: Any) -> str:
        """Runs ``circuits``, which is a primitive and what its ``run`` takes. Whatever it raises leaves the job in doubt."""
        primitive, pubs = circuits
        environment = primitive.options.environment
        before = environment.job_tags
        environment.job_tags = [*_listed(before), token]
        try:
            return str(primitive.run(pubs).job_id())
        finally:
            environment.job_tags = before

    def find(self, token: str) -> dict[str, Any] | None:
        """The job with this tag; the oldest one, if the client has sent it again by itself."""
        jobs = self._service.jobs(job_tags=[token], limit=10)
        return self._seen(jobs[-1]) if jobs else None

    def status(self, id: str) -> dict[str, Any]:
        """The state of a job and, once it has ended, the seconds that are billed."""
        return self._seen(self._service.job(id))

    def cancel(self, id: str) -> dict[str, Any]:
        """Cancels a job, if it has not ended."""
        job = self._service.job(id)
        if self._seen(job)["state"] not in _ENDED:
            job.cancel()
        return self._seen(job)

    def _seen(self, job: Any) -> dict[str, Any]:
        status = job.status()
        name = str(getattr(status, "name", status))
        state = job_state("ibm_runtime", name)
        if state is None:
            raise ValueError(f"job {job.job_id()} has the status {name!r}, which is not known")
        seen: dict[str, Any] = {"id": str(job.job_id()), "state": state}
        if state in _ENDED:
            seconds = float(job.usage())
            seen["billed_seconds"] = seconds
            if self._price is not None:
                seen["cost_usd"] = seconds * self._price
        return seen


_ENDED = ("done", "failed", "cancelled")


def _listed(tags: Any) -> list[str]:
    """The tags of an option, which may not be set."""
    return list(tags) if isinstance(tags, (list, tuple)) else []
