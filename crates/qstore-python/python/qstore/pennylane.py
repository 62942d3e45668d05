"""PennyLane: what a device did for a step, as the columns that ``log_step`` has for it.

    from qstore.pennylane import DeviceUsage

    with AsyncMetricsLogger("run/metrics.parquet") as logger, DeviceUsage(dev) as usage:
        for step in range(100):
            weights, loss = optimizer.step_and_cost(cost, weights)
            logger.log_step(0, step, loss, **usage.take())
"""

from __future__ import annotations

import time
from typing import Any

import pennylane  # type: ignore[import-not-found, import-untyped, unused-ignore]

__all__ = ["DeviceUsage"]


class DeviceUsage:
    """Counts the circuits and shots of a device, while it is entered.

    PennyLane has one tracker for each device: this one takes the place of another, until it is left.

    :param device: A device of PennyLane.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._before: Any = None
        self._tracker: Any = None
        self._taken: dict[str, float] = {}
        self._since = 0.0

    def __enter__(self) -> "DeviceUsage":
        self._before = getattr(self._device, "tracker", None)
        self._tracker = pennylane.Tracker(self._device, persistent=True)
        self._tracker.__enter__()
        self._taken = {}
        self._since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._tracker.__exit__(*error)
        self._device.tracker = self._before

    def take(self) -> dict[str, Any]:
        """What the device did since this was last called, or since it was entered.

        :returns: ``circuits_executed``; ``shots_per_circuit``, 0 where expectations are exact; ``qubits_used``, the wires of
            the device; ``backend``, its name; and ``batch_time_ms``, the time that passed.
        """
        totals = {name: self._tracker.totals.get(name, 0) for name in ("executions", "shots")}
        circuits = int(totals["executions"] - self._taken.get("executions", 0))
        shots = int(totals["shots"] - self._taken.get("shots", 0))
        now = time.perf_counter()
        passed, self._since, self._taken = now - self._since, now, totals
        wires = self._device.wires
        return {
            "circuits_executed": circuits,
            "shots_per_circuit": shots // circuits if circuits else 0,
            "qubits_used": None if wires is None else len(wires),
            "backend": str(self._device.name),
            "batch_time_ms": passed * 1e3,
        }
