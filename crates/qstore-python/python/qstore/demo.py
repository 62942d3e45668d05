"""``python -m qstore.demo``: a quantum classifier learns to tell Iris species apart, and qstore records it.

A variational circuit of four qubits is simulated in plain Python and trained by the parameter-shift rule and Adam. All of the
storage is in ``main``. Kill it whenever you like, and go on with ``--resume``: every random number is derived from the
seed, the epoch and the step, so a run that was resumed ends as one that was never stopped.
"""

from __future__ import annotations

import argparse
import cmath
import math
import random
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import AsyncMetricsLogger, CheckpointManager, Error
from .signals import StopSignal

QUBITS, LAYERS, SHOTS, BATCH, RATE, HELD_BACK = 4, 3, 256, 15, 0.1, 15
SPECIES = ["setosa", "versicolor", "virginica"]
USD_PER_SHOT = 0.0003
CHECKPOINT_EVERY = 5

Flower = tuple[list[float], int]


def stream(seed: int, *purpose: object) -> random.Random:
    """A generator that depends on nothing but what its numbers are for."""
    return random.Random(f"{seed} {purpose}")


def flowers(seed: int) -> tuple[list[Flower], list[Flower]]:
    """The rows to train and to test with, each measurement as an angle from 0 to pi / 2."""
    lines = Path(__file__).with_name("iris.csv").read_text().splitlines()[1:]
    rows = [([float(field) for field in line.split(",")[:4]], SPECIES.index(line.split(",")[4])) for line in lines]
    stream(seed, "split").shuffle(rows)
    test = [row for kind in range(3) for row in [row for row in rows if row[1] == kind][:HELD_BACK]]
    train = [row for row in rows if row not in test]
    least, most = ([bound(row[0][i] for row in train) for i in range(QUBITS)] for bound in (min, max))

    def angles(row: Flower) -> Flower:
        return [(x - low) / (high - low) * math.pi / 2 for x, low, high in zip(row[0], least, most)], row[1]

    return list(map(angles, train)), list(map(angles, test))


#: For each qubit, the pairs of amplitudes that differ in it alone.
PAIRS = [[(i, i | 1 << qubit) for i in range(2**QUBITS) if not i >> qubit & 1] for qubit in range(QUBITS)]


def rotated(state: list[complex], qubit: int, y: float, z: float = 0.0) -> list[complex]:
    """RY(y) after RZ(z) on one qubit."""
    cos, sin, before, after = math.cos(y / 2), math.sin(y / 2), cmath.exp(-0.5j * z), cmath.exp(0.5j * z)
    a, b, c, d = cos * before, -sin * after, sin * before, cos * after
    turned = state[:]
    for i, j in PAIRS[qubit]:
        zero, one = state[i], state[j]
        turned[i], turned[j] = a * zero + b * one, c * zero + d * one
    return turned


def _ring() -> list[int]:
    """Where the amplitudes come from when CNOTs entangle each qubit with the next one."""
    source = list(range(1 << QUBITS))
    for control in range(QUBITS):
        target = (control + 1) % QUBITS
        source = [source[i ^ (1 << target)] if i >> control & 1 else source[i] for i in range(len(source))]
    return source


RING = _ring()


class Device:
    """A simulator that reads the first three qubits, and keeps the bill."""

    def __init__(self) -> None:
        self.circuits, self.seconds = 0, 0.0

    def scores(self, data: Sequence[float], angles: Sequence[float], numbers: random.Random) -> list[float]:
        """Runs one circuit; the score of a species is five times the mean of its qubit."""
        started = time.perf_counter()
        state = [1 + 0j] + [0j] * (2**QUBITS - 1)
        pairs = iter(angles)
        for _ in range(LAYERS):
            for qubit in range(QUBITS):
                state = rotated(state, qubit, data[qubit])
            state = [state[i] for i in RING]
            for qubit in range(QUBITS):
                z, y = next(pairs), next(pairs)
                state = rotated(state, qubit, y, z)
        scores = [5 * mean for mean in self.means([abs(amplitude) ** 2 for amplitude in state], numbers)]
        self.circuits, self.seconds = self.circuits + 1, self.seconds + time.perf_counter() - started
        return scores

    def means(self, weights: Sequence[float], numbers: random.Random) -> list[float]:
        """Measures: a qubit that is read as 0 counts as 1, and one that is read as 1 as -1."""
        seen = numbers.choices(range(len(weights)), weights, k=SHOTS)
        return [1 - 2 * sum(outcome >> qubit & 1 for outcome in seen) / SHOTS for qubit in range(3)]

    def bill(self) -> tuple[int, float]:
        """The circuits and seconds since it was last asked."""
        bill = self.circuits, self.seconds
        self.circuits, self.seconds = 0, 0.0
        return bill


def cross_entropy(scores: Sequence[float], species: int) -> tuple[float, list[float]]:
    """The loss in nats, and its derivative by each score."""
    exponentials = [math.exp(score) for score in scores]
    total = sum(exponentials)
    return math.log(total) - scores[species], [e / total - (i == species) for i, e in enumerate(exponentials)]


class Trainer:
    """The angles and Adam: all that a run needs to go on."""

    def __init__(self, seed: int) -> None:
        count = LAYERS * QUBITS * 2
        self.seed, self.device, self.step = seed, Device(), 0
        numbers = stream(seed, "initial")
        self.angles = [numbers.random() - 0.5 for _ in range(count)]
        self.means, self.squares = [0.0] * count, [0.0] * count

    def train(self, batch: Sequence[Flower], epoch: int) -> dict[str, Any]:
        """One step; returns what was measured, by the names of the columns."""
        started, numbers = time.perf_counter(), stream(self.seed, "step", epoch, self.step)
        loss, gradient = 0.0, [0.0] * len(self.angles)
        self.device.bill()
        for data, species in batch:
            value, slopes = cross_entropy(self.device.scores(data, self.angles, numbers), species)
            loss += value / len(batch)
            for i in range(len(gradient)):
                sides = []
                for shift in (math.pi / 2, -math.pi / 2):
                    shifted = [*self.angles[:i], self.angles[i] + shift, *self.angles[i + 1 :]]
                    sides.append(self.device.scores(data, shifted, numbers))
                gradient[i] += sum(s * (p - m) / 2 for s, p, m in zip(slopes, *sides)) / len(batch)
        self.step += 1
        for i, slope in enumerate(gradient):
            self.means[i] = 0.9 * self.means[i] + 0.1 * slope
            self.squares[i] = 0.999 * self.squares[i] + 0.001 * slope * slope
            mean, square = self.means[i] / (1 - 0.9**self.step), self.squares[i] / (1 - 0.999**self.step)
            self.angles[i] -= RATE * mean / (math.sqrt(square) + 1e-8)
        (circuits, seconds), took = self.device.bill(), time.perf_counter() - started
        return {
            "train_loss": loss,
            "grad_norm": math.hypot(*gradient),
            "grad_max": max(map(abs, gradient)),
            "grad_min": min(map(abs, gradient)),
            "circuit_execution_time_ms": seconds * 1e3,
            "circuits_executed": circuits,
            "qubits_used": QUBITS,
            "shots_per_circuit": SHOTS,
            "backend": "state_vector",
            "queue_time_ms": 0.0,
            "cost_usd": circuits * SHOTS * USD_PER_SHOT,
            "credits_used": 0.0,
            "batch_time_ms": took * 1e3,
            "throughput_samples_per_sec": len(batch) / took,
        }

    def evaluate(self, rows: Sequence[Flower], epoch: int) -> dict[str, float]:
        """How well it does with these flowers."""
        numbers, loss, right = stream(self.seed, "evaluate", epoch), 0.0, 0
        for data, species in rows:
            scores = self.device.scores(data, self.angles, numbers)
            loss += cross_entropy(scores, species)[0]
            right += scores[species] >= max(scores)
        return {"loss": loss / len(rows), "accuracy": right / len(rows)}

    def model_state(self) -> dict[str, Any]:
        """The angles, as ``[layer, qubit, 2]``."""
        return {"angles": memoryview(array("d", self.angles)).cast("B").cast("d", [LAYERS, QUBITS, 2])}

    def optimizer_state(self) -> dict[str, Any]:
        """Adam, as torch has it."""
        moments: dict[str, Any] = {"exp_avg": array("d", self.means), "exp_avg_sq": array("d", self.squares)}
        return {"state": {0: {"step": self.step, **moments}}, "param_groups": [{"lr": RATE, "params": [0]}]}

    def restore(self, loaded: dict[str, Any]) -> None:
        """Goes on from a checkpoint that was loaded with ``tensors="qstore"``."""
        adam = loaded["optimizer_state"]["state"][0]
        self.step = adam["step"]
        self.angles = list(array("d", memoryview(loaded["model_state"]["angles"]).tobytes()))
        self.means = list(array("d", memoryview(adam["exp_avg"]).tobytes()))
        self.squares = list(array("d", memoryview(adam["exp_avg_sq"]).tobytes()))


def batches(count: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """The rows of each step of an epoch."""
    order = list(range(count))
    stream(seed, "shuffle", epoch).shuffle(order)
    while order:
        yield order[:BATCH]
        del order[:BATCH]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, and records the run: the metrics of each step and epoch, and a checkpoint each five epochs."""
    parser = argparse.ArgumentParser(prog="python -m qstore.demo", description="Trains a classifier and records the run.")
    parser.add_argument("--out", type=Path, default=Path("qstore_demo"), help="the directory of the run [%(default)s]")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training data [%(default)s]")
    parser.add_argument("--seed", type=int, default=7, help="decides every random choice [%(default)s]")
    parser.add_argument("--resume", action="store_true", help="goes on from the latest checkpoint")
    options = parser.parse_args(arguments)
    out = options.out
    if not options.resume and (out / "metrics.parquet").exists():
        parser.error(f"{out} already holds a run: add --resume, or choose another directory by --out")

    with (
        AsyncMetricsLogger(out / "metrics.parquet", flush_interval=20) as logger,
        CheckpointManager(out / "checkpoints", keep_last=3) as manager,
        StopSignal() as stop,
    ):
        latest = manager.load_latest(tensors="qstore") if options.resume else None
        seed, first = (options.seed, 0) if latest is None else (latest["metadata"]["seed"], latest["epoch"] + 1)
        trainer, (train, test) = Trainer(seed), flowers(seed)
        if latest is not None:
            trainer.restore(latest)
            print(f"resuming after epoch {latest['epoch']}")
        for epoch in range(first, options.epochs):
            if stop:
                print("asked to stop; --resume goes on from the latest checkpoint")
                break
            for rows in batches(len(train), seed, epoch):
                measured = trainer.train([train[row] for row in rows], epoch)
                logger.log_step(epoch, trainer.step - 1, measured.pop("train_loss"), measured.pop("grad_norm"), **measured)
            fit, held_back = trainer.evaluate(train, epoch), trainer.evaluate(test, epoch)
            logger.log_epoch(epoch, fit, held_back)
            print(f"epoch {epoch}: loss {fit['loss']:.3f}, test {held_back['accuracy']:.0%}", flush=True)
            if (epoch + 1) % CHECKPOINT_EVERY == 0 or epoch + 1 == options.epochs:
                metadata = {"seed": seed, "test_accuracy": held_back["accuracy"]}
                manager.save(epoch, trainer.model_state(), trainer.optimizer_state(), metadata)

    kept = logger.stats()
    print(f"rows: {kept['writer']['rows_written']} written, {kept['buffer']['dropped']} dropped")
    print(f"checkpoints: epochs {', '.join(map(str, manager.list_checkpoints()))}")
    print(f'\npandas.read_parquet("{out / "metrics.parquet"}")')


if __name__ == "__main__":
    try:
        main()
    except (Error, OSError) as error:
        raise SystemExit(f"error: {error}") from None
