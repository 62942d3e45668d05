"""The demo: what it writes, and that a run that was killed goes on as if it had not been."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

import qstore
from qstore import CheckpointManager, demo

ROOT = Path(__file__).parents[3]
MEASURED = ["train_loss", "grad_norm", "grad_max", "grad_min", "circuits_executed", "val_loss", "accuracy", "cost_usd"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer circuits; the runs in a process of their own have all of them."""
    monkeypatch.setattr(demo, "LAYERS", 1)
    monkeypatch.setattr(demo, "SHOTS", 32)
    monkeypatch.setattr(demo, "HELD_BACK", 44)


def rows_of(path):
    return pandas.read_parquet(path / "metrics.parquet")


def test_a_run_that_is_resumed_ends_as_one_that_was_never_stopped(tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    demo.main(["--out", str(whole), "--epochs", "7"])
    demo.main(["--out", str(parts), "--epochs", "5"])
    with pytest.raises(SystemExit):
        demo.main(["--out", str(parts)])
    demo.main(["--out", str(parts), "--epochs", "7", "--resume", "--seed", "3"])
    assert "resuming after epoch 4" in capsys.readouterr().out
    steps = 7 * 2
    one, other = rows_of(whole), rows_of(parts)
    assert len(one) == steps + 7 and one["step"].tolist() == other["step"].tolist()
    pandas.testing.assert_frame_equal(one[MEASURED], other[MEASURED])
    with CheckpointManager(whole / "checkpoints") as first, CheckpointManager(parts / "checkpoints") as second:
        assert first.list_checkpoints() == second.list_checkpoints() == [4, 6]
        one, other = first.load(6), second.load(6)
        angles = one["model_state"]["angles"]
        assert angles.shape == (1, 4, 2) and (angles == other["model_state"]["angles"]).all()
        assert one["optimizer_state"]["state"][0]["step"] == steps
        assert one["metadata"] == other["metadata"] and one["metadata"]["seed"] == 7


def test_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SHOTS", 64)
    demo.main(["--out", str(tmp_path), "--epochs", "12"])
    epochs = rows_of(tmp_path).query("step == -1")
    assert epochs["train_loss"].iloc[-1] < 0.6 < epochs["train_loss"].iloc[0]


def test_the_circuit_is_that_of_the_demo_in_rust():
    # The same facts as in its tests: a flipped qubit travels around the ring, and rotations come last.
    ground = [1 + 0j] + [0j] * 15
    flipped = demo.rotated(ground, 0, math.pi)
    assert abs(flipped[1]) == pytest.approx(1) and demo.RING.index(1) == 0b1110
    turned = demo.rotated(ground, 1, 0.4, 0.7)
    assert sum(abs(amplitude) ** 2 for amplitude in turned) == pytest.approx(1)
    rust = ROOT / "demo" / "src" / "iris.csv"
    assert Path(demo.__file__).with_name("iris.csv").read_bytes() == rust.read_bytes()


class Exact(demo.Device):
    """Computes the means instead of measuring them."""

    def means(self, weights, numbers):
        ones = [sum(weight for outcome, weight in enumerate(weights) if outcome >> qubit & 1) for qubit in range(3)]
        return [1 - 2 * one for one in ones]


def test_parameter_shift_is_the_derivative():
    trainer = demo.Trainer(1)
    trainer.device = Exact()
    data, species = [0.3, 0.7, 1.1, 0.2], 1
    before, slopes = list(trainer.angles), []
    for i in range(len(before)):
        up, down = (
            demo.cross_entropy(Exact().scores(data, [*before[:i], before[i] + h, *before[i + 1 :]], None), species)[0]
            for h in (1e-5, -1e-5)
        )
        slopes.append((up - down) / 2e-5)
    measured = trainer.train([(data, species)], 0)
    assert measured["grad_norm"] == pytest.approx(math.hypot(*slopes), rel=1e-6)
    assert measured["grad_max"] == pytest.approx(max(map(abs, slopes)), rel=1e-6)
    assert measured["circuits_executed"] == 2 * len(before) + 1


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_run_that_was_ended_from_outside_goes_on(tmp_path, how):
    command = [sys.executable, "-m", "qstore.demo", "--out", str(tmp_path / "run"), "--epochs", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if line.startswith("epoch 0"):
                getattr(run, how)()
                rest = run.stdout.read()
    if how == "terminate":
        assert run.returncode == 0 and "asked to stop" in rest and "0 dropped" in rest
        assert (rows_of(tmp_path / "run")["step"] == -1).sum() == rest.count("epoch ") + 1
    else:
        assert run.returncode == -signal.SIGKILL
    command[-1] = "1"
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert "checkpoints: epochs 0" in resumed.stdout
    assert qstore.AsyncMetricsLogger(tmp_path / "run" / "metrics.parquet").stop()["buffer"]["dropped"] == 0
