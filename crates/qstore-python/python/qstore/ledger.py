"""Jobs on quantum computers: none is lost, and none is paid for twice without a word.

    from qstore import Batch, Ledger

    with Ledger("run/jobs.parquet", budget_usd=50.0) as ledger:
        batch = Batch("device", 1024, circuits=[qasm], parameters=weights)
        job = ledger.finished(batch)
        if job is None:
            intent = ledger.intend("provider", batch, estimate_usd=0.67)  # durable
            job = intent.submitted(client.submit(qasm, token=intent.token))  # durable: now wait
            job = ledger.observe(job, "done", cost_usd=0.65)

It opens no connection: ``Provider`` is what a client of yours has to have for ``send``, ``cancel`` and ``reconcile``.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from . import _native, endings
from .errors import LedgerError

__all__ = ["Batch", "Intent", "Job", "Ledger", "Provider", "Reconciled", "Refused", "Spending", "job_state", "read_jobs"]


def job_state(provider: str, status: str) -> str | None:
    """The state for a status of ``"ibm_runtime"``, ``"braket"`` or ``"ionq"``; None for one that is not known.

    :raises ValueError: for another provider.
    """
    return _native.job_state(provider, status)


@dataclasses.dataclass(frozen=True)
class Job:
    """A job, as far as its ledger knows it."""

    #: Our name for it, a UUID that its request carries to the provider.
    token: str
    #: ``"intended"``, ``"submitted"``, ``"queued"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``.
    state: str
    #: Whether its request may have arrived although no identifier is known: look for it at the provider before anything is
    #: sent again.
    in_doubt: bool
    #: Whether something may still happen to it.
    is_open: bool
    #: Seconds since 1970-01-01 UTC.
    intended_at: float
    #: The provider's identifier, once it is known.
    id: str | None
    provider: str
    device: str
    session: str | None
    attempt: int
    epoch: int | None
    step: int | None
    #: The digest of its batch.
    batch: str
    circuits: int
    shots: int
    estimate_usd: float | None
    cost_usd: float | None
    estimate_seconds: float | None
    billed_seconds: float | None
    credits: float | None
    queue_position: int | None
    queue_ms: float | None
    exec_ms: float | None
    #: Where the caller stored its result, and the crc32c of that file.
    result: str | None
    result_crc32c: int | None
    error: str | None
    extra: str | None


@dataclasses.dataclass(frozen=True)
class Spending:
    """What is spent, and what may be, in US dollars."""

    limit_usd: float | None
    settled_usd: float
    #: What jobs may cost whose price is not known yet.
    reserved_usd: float

    @property
    def total_usd(self) -> float:
        """Spent and reserved."""
        return self.settled_usd + self.reserved_usd


class Batch:
    """A request: device, shots, circuits and parameters. What was paid for is found again by its digest.

    If a loop asks for the same circuits with the same parameters on purpose, as for a fresh sample, give each request a
    ``salt`` of its own, such as the step.

    :param shots: For each circuit.
    :param circuits: In any form that is the same for the same circuit: texts of OpenQASM, bytes of QPY.
    :param parameters: A sequence of floats. Values differ if their bits differ.
    """

    def __init__(
        self,
        device: str,
        shots: int,
        *,
        circuits: Iterable[str | bytes] = (),
        parameters: Iterable[float] | None = None,
        salt: str | Iterable[str] = (),
    ) -> None:
        salts = [salt] if isinstance(salt, str) else list(salt)
        values = None if parameters is None else [float(value) for value in parameters]
        self._native = _native.Batch(device, shots, list(circuits), values, salts)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits."""
        return self._native.digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Batch {self.digest}>"


class Refused(Exception):
    """What a ``Provider`` raises for a request that it certainly did not accept. Anything else leaves the job in doubt."""


class Provider(Protocol):
    """A client of somebody who runs jobs."""

    def submit(self, token: str, batch: Batch, circuits: Any) -> str:
        """Sends a job that carries this token, and returns its identifier.

        :raises Refused: only if it was certainly not accepted.
        """

    def find(self, token: str) -> dict[str, Any] | None:
        """Looks for the job with this token: what ``Ledger.observe`` takes, with ``state`` and ``id``; None if there is
        certainly none.

        :raises NotImplementedError: if the provider has no such search.
        """

    def status(self, id: str) -> dict[str, Any]:
        """What is known of a job: what ``Ledger.observe`` takes, with ``state``."""

    def cancel(self, id: str) -> dict[str, Any]:
        """Cancels a job, if it has not ended, and returns what is known of it."""


@dataclasses.dataclass(frozen=True)
class Reconciled:
    """What became of the jobs that were not finished."""

    #: What is known of them now.
    seen: list[Job]
    #: The provider does not know them.
    given_up: list[Job]
    #: They stay in doubt, because the provider has no search.
    in_doubt: list[Job]
    #: The provider did not answer, for this reason. They are as they were.
    unanswered: list[tuple[Job, Exception]]


class Intent:
    """A job that is durable, and whose request may leave.

    Without an answer it is in doubt once this is forgotten, on purpose: the request may have arrived.
    """

    def __init__(self, ledger: "Ledger", native: _native.Intent) -> None:
        self._ledger = ledger
        self._native = native

    @property
    def token(self) -> str:
        """What the request shall carry: ``clientToken``, a tag, or a name, as the provider has it."""
        return self._native.token

    def submitted(self, id: str) -> Job:
        """The provider has it, under this identifier, which is durable when this returns: now wait.

        :raises LedgerError: if the identifier is another job's, or could not be made durable yet.
        """
        return self._ledger._told(self._native.submitted(id))

    def refused(self, reason: str) -> Job:
        """The provider refused the request, and certainly did not accept it."""
        return self._ledger._told(self._native.refused(reason))

    def __enter__(self) -> "Intent":
        return self

    def __exit__(self, *_: object) -> None:
        self._native.forget()

    def __repr__(self) -> str:
        return f"<Intent {self.token}>"


class Ledger:
    """The jobs of one run, in one file that a single process writes and anybody reads, also with pandas.

    An intent is durable before the request leaves, the provider's identifier before anybody waits, and the price when it is
    learned, by whichever process learns it. Every call that records something costs two syncs of the disk.

    :param path: By convention ``jobs.parquet`` in the directory of the run.
    :param budget_usd: At most this sum is spent and reserved; None is without a limit.
    :param alarm_at: Shares of the budget at which there is an alarm, such as ``(0.5, 0.8)``; at the limit there always is one.
    :param on_alarm: What is called with the share and the ``Spending``; None warns.
    :param attempt: The attempt of the run.
    :raises OpenError: if the file has another writer, or is not a Parquet file.
    :raises LedgerError: if it is not a ledger.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        budget_usd: float | None = None,
        alarm_at: Iterable[float] = (),
        on_alarm: Callable[[float, Spending], object] | None = None,
        attempt: int = 0,
    ) -> None:
        #: The file.
        self.path: Path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        real = os.path.realpath(self.path)
        before = endings.holder(real)
        if isinstance(before, Ledger):
            before.close()
        self._native = _native.Ledger(self.path, budget_usd, list(alarm_at))
        self._on_alarm = on_alarm
        self._attempt = attempt
        self._is_closed = False
        endings.watch(self)
        endings.remember(real, self)

    def intend(
        self,
        provider: str,
        batch: Batch,
        *,
        epoch: int | None = None,
        step: int | None = None,
        estimate_usd: float | None = None,
        estimate_seconds: float | None = None,
        session: str | None = None,
        extra: str | None = None,
        repeated: bool = False,
    ) -> Intent:
        """Makes a job durable before its request leaves, and reserves what it may cost.

        :param estimate_usd: What it may cost. A ledger with a budget asks for it.
        :param extra: Anything else, as JSON.
        :param repeated: Whether to pay for this batch although a job for it is done or under way.
        :raises AlreadyPaidError: if a job for the batch is done; its ``job`` is the token.
        :raises UnderWayError: if one is under way or in doubt.
        :raises OverBudgetError: if it may cost more than what is left.
        :raises LedgerError: if the intent could not be made durable. Nothing may be sent then.
        """
        request = {
            "provider": provider,
            "session": session,
            "attempt": self._attempt,
            "epoch": epoch,
            "step": step,
            "estimate_usd": estimate_usd,
            "estimate_seconds": estimate_seconds,
            "extra": extra,
            "repeated": repeated,
        }
        try:
            return Intent(self, self._native.intend(batch._native, request))
        finally:
            self._alarm()

    def retry(self, job: Job | str) -> Intent:
        """The intent of a job in doubt again, with the same token: for a provider that answers the same token with the same
        job.

        :raises LedgerError: if the job is not in doubt.
        """
        return Intent(self, self._native.retry(_token(job)))

    def observe(
        self,
        job: Job | str,
        state: str | None = None,
        *,
        id: str | None = None,
        cost_usd: float | None = None,
        billed_seconds: float | None = None,
        credits: float | None = None,
        queue_position: int | None = None,
        queue_ms: float | None = None,
        exec_ms: float | None = None,
        result: tuple[str, int] | None = None,
        error: str | None = None,
        session: str | None = None,
        extra: str | None = None,
    ) -> Job:
        """Records what was seen of a job at its provider, and returns what is known now. What is known is not recorded again.

        :param state: See ``Job.state``; None if only something else became known, such as the price.
        :param result: Where the caller stored its result, relative to the ledger, and the crc32c of that file.
        :raises LedgerError: if the job is unknown, the identifier is not its own, or it could not be made durable yet.
        """
        look = {
            "state": state,
            "id": id,
            "session": session,
            "cost_usd": cost_usd,
            "billed_seconds": billed_seconds,
            "credits": credits,
            "queue_position": queue_position,
            "queue_ms": queue_ms,
            "exec_ms": exec_ms,
            "result": result,
            "error": error,
            "extra": extra,
        }
        return self._told(self._native.observe(_token(job), look))

    def give_up(self, job: Job | str) -> Job:
        """Records that the provider does not know a job that was in doubt. Be sure of it: it would be paid for twice."""
        return self._told(self._native.give_up(_token(job)))

    def send(self, provider: Provider, name: str, batch: Batch, circuits: Any, **request: Any) -> Job:
        """Intends a job, sends it, and records its identifier.

        :param name: The name of the provider, as ``reconcile`` takes it.
        :param request: What ``intend`` takes besides.
        :raises Refused: if the provider did not accept it: the job has failed. Anything else that the provider raises leaves
            it in doubt.
        """
        with self.intend(name, batch, **request) as intent:
            try:
                id = provider.submit(intent.token, batch, circuits)
            except Refused as refused:
                intent.refused(str(refused))
                raise
            return intent.submitted(id)

    def cancel(self, provider: Provider, job: Job) -> Job:
        """Cancels a job at its provider, if it has not ended, and records what the provider says.

        :raises LedgerError: if the job has no identifier.
        """
        if job.id is None:
            raise LedgerError(f"job {job.token} has no identifier, so its provider cannot be asked to cancel it", job.token)
        return self.observe(job, **provider.cancel(job.id))

    def reconcile(self, name: str, provider: Provider) -> Reconciled:
        """Asks the provider for every job of its name that is not finished. Call it after opening, before anything is sent.

        One job without an answer does not hide the others. A job in doubt that the provider does not know is given up.
        """
        outcome = Reconciled([], [], [], [])
        for job in self.unfinished():
            if job.provider != name or (job.id is None and not job.in_doubt):
                continue
            try:
                seen = provider.find(job.token) if job.id is None else provider.status(job.id)
            except NotImplementedError:
                outcome.in_doubt.append(job)
            except Exception as error:  # reported, and the others are asked
                outcome.unanswered.append((job, error))
            else:
                if seen is not None:
                    outcome.seen.append(self.observe(job, **seen))
                else:
                    outcome.given_up.append(self.give_up(job))
        return outcome

    def finished(self, batch: Batch) -> Job | None:
        """The last job that is done for this batch: it was paid for. None if there is none."""
        found = self._native.finished(batch._native)
        return None if found is None else Job(**found)

    def unfinished(self) -> list[Job]:
        """The jobs to which something may still happen, in the order in which they were intended."""
        return [Job(**job) for job in self._native.unfinished()]

    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they were intended."""
        return [Job(**job) for job in self._native.jobs()]

    def find(self, job: str) -> Job | None:
        """The job with this token, or with this identifier of its provider; None if there is none."""
        return next((known for known in self.jobs() if job in (known.token, known.id)), None)

    def spending(self) -> Spending:
        """What is spent, and what is reserved for jobs whose price is not known yet."""
        return Spending(*self._native.spending())

    def close(self) -> None:
        """Makes everything durable, and marks the file as closed. Nothing can be recorded afterwards.

        :raises LedgerError: if that failed. It can be called again.
        """
        self._native.close()
        self._is_closed = True

    def _told(self, job: dict[str, Any]) -> Job:
        self._alarm()
        return Job(**job)

    def _alarm(self) -> None:
        for share, settled, reserved in self._native.take_alarms():
            spending = Spending(self._native.spending()[0], settled, reserved)
            if self._on_alarm is not None:
                self._on_alarm(share, spending)
                continue
            text = (
                f"{share:.0%} of the budget of {spending.limit_usd:.2f} USD is passed: "
                f"{settled:.2f} USD are spent and {reserved:.2f} USD are reserved"
            )
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def _end(self, _: float) -> None:
        if not self._is_closed:
            self.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        spending = self.spending()
        limit = "" if spending.limit_usd is None else f" of {spending.limit_usd:.2f}"
        return f"<Ledger {str(self.path)!r}: {len(self.jobs())} jobs, {spending.total_usd:.2f}{limit} USD>"

    def __reduce__(self) -> Any:
        raise TypeError("a ledger belongs to its process; read it elsewhere with qstore.ledger.read_jobs")


def read_jobs(path: str | os.PathLike[str]) -> list[Job]:
    """The jobs of a ledger, whoever writes it."""
    return [Job(**job) for job in _native.read_jobs(Path(path))]


def _token(job: Job | str) -> str:
    return job if isinstance(job, str) else job.token
