"""The modules for frameworks, with the real ones where they are installed."""

import json
import os

import numpy
import pandas
import pytest

from qstore import AsyncMetricsLogger, CheckpointError, CheckpointManager, StateError


class Steps:
    """A run of torch with dropout and noise, so that it depends on the generators, too."""

    def __init__(self, seed=1):
        torch = pytest.importorskip("torch")
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)

    def take(self, count):
        import random

        import torch

        losses = []
        for _ in range(count):
            noise = float(numpy.random.normal()) + random.random()
            self.optimizer.zero_grad()
            loss = self.model(torch.randn(16, 4) + noise).square().mean()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            losses.append(loss.item())
        return losses

    def all(self):
        return self.model, self.optimizer, self.scheduler


def test_a_run_of_torch_with_randomness_goes_on_bit_by_bit(tmp_path):
    pytest.importorskip("torch")
    import qstore.torch

    run = Steps()
    run.take(3)
    with CheckpointManager(tmp_path) as manager:
        assert qstore.torch.resume(manager, *run.all()) is None
        saved = qstore.torch.save(manager, 3, *run.all(), metadata={"loss": 0.5}, parts={"loader": {"at": 7}})
        expected = run.take(5)
        saved.wait(60)
        other = Steps(seed=2)
        loaded = qstore.torch.resume(manager, *other.all())
        assert (loaded["epoch"], loaded["metadata"], loaded["parts"]["loader"]) == (3, {"loss": 0.5}, {"at": 7})
        assert other.take(5) == expected
        assert other.scheduler.get_last_lr() == run.scheduler.get_last_lr()
        # Without its generators it is another run.
        qstore.torch.resume(manager, *other.all(), epoch=3, randomness=False)
        assert other.take(5) != expected


def test_a_state_that_a_checkpoint_does_not_have_is_an_error_and_changes_nothing(tmp_path):
    torch = pytest.importorskip("torch")
    import qstore.torch

    run = Steps()
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    with CheckpointManager(tmp_path) as manager:
        qstore.torch.save(manager, 1, Steps(seed=5).model).wait(60)
        with pytest.raises(CheckpointError, match="no state of the optimizer"):
            qstore.torch.resume(manager, *run.all())
        with pytest.raises(ValueError, match="'random' is saved by this function"):
            qstore.torch.save(manager, 2, run.model, parts={"random": {}})
        assert manager.list_checkpoints() == [1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.model.state_dict().items())


def lightning():
    pytest.importorskip("torch")
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return __import__(name, fromlist=["*"])
        except ImportError:
            continue
    return pytest.skip("could not import 'lightning' or 'pytorch_lightning'")


def lightning_module(pl):
    import torch

    class Module(pl.LightningModule):
        def __init__(self, lr=0.05):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, _):
            loss = self.layer(batch[0]).square().mean()
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch, _):
            self.log("val_loss", self.layer(batch[0]).square().mean())

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    torch.manual_seed(3)
    return Module()


def lightning_trainer(pl, path, epochs, **settings):
    from qstore.lightning import AsyncCheckpointIO, MetricsLogger

    keep = pl.callbacks.ModelCheckpoint(path / "kept", save_top_k=2, monitor="val_loss", save_last=True)
    return pl.Trainer(
        max_epochs=epochs,
        logger=MetricsLogger(path, "logs"),
        plugins=[AsyncCheckpointIO(**settings)],
        callbacks=[keep, pl.callbacks.EarlyStopping("val_loss", patience=100)],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        accelerator="cpu",
        deterministic=True,
    )


@pytest.mark.filterwarnings("ignore")
def test_lightning_logs_saves_and_resumes(tmp_path):
    pl = lightning()
    import torch

    def loader():
        data = torch.utils.data.TensorDataset(torch.linspace(-1, 1, 64).reshape(16, 4))
        return torch.utils.data.DataLoader(data, batch_size=4)

    whole = lightning_module(pl)
    lightning_trainer(pl, tmp_path / "whole", 4).fit(whole, loader(), loader())

    first = lightning_module(pl)
    trainer = lightning_trainer(pl, tmp_path / "parts", 2)
    trainer.fit(first, loader(), loader())
    last = tmp_path / "parts" / "kept" / "last.ckpt"
    assert last.is_dir() and len(list(last.parent.iterdir())) == 3
    assert trainer.logger.log_dir == str(tmp_path / "parts" / "logs" / "version_0")
    second = lightning_module(pl)
    trainer = lightning_trainer(pl, tmp_path / "parts", 4)
    # Lightning asks for `weights_only`; nothing is ever pickled here.
    trainer.fit(second, loader(), loader(), ckpt_path=str(last))
    for ours, expected in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, expected)
    assert json.loads((tmp_path / "parts/logs/version_0/hparams.json").read_text()) == {"lr": 0.05}
    for version, epochs in [(0, [0, 1]), (1, [2, 3])]:
        rows = pandas.read_parquet(tmp_path / f"parts/logs/version_{version}/metrics.parquet")
        assert rows["train_loss"].count() == 8 and rows["val_loss"].count() == 2
        assert sorted(set(rows["epoch"])) == epochs and rows["timestamp"].notna().all()


@pytest.mark.filterwarnings("ignore")
def test_lightning_is_told_what_cannot_be_saved_or_loaded(tmp_path):
    lightning()
    from qstore.lightning import AsyncCheckpointIO

    io = AsyncCheckpointIO()
    with pytest.raises(StateError, match="model.hyper_parameters.loss.*type function"):
        io.save_checkpoint({"global_step": 3, "hyper_parameters": {"loss": lambda: 0}}, tmp_path / "a.ckpt")
    with pytest.raises(FileNotFoundError, match="missing.ckpt"):
        io.load_checkpoint(tmp_path / "missing.ckpt")
    with pytest.raises(TypeError, match="storage_options"):
        io.save_checkpoint({}, tmp_path / "b.ckpt", storage_options={})
    io.save_checkpoint({"global_step": 3, "betas": (0.9, 0.99), "n": numpy.arange(3)}, tmp_path / "c.ckpt")
    # A load waits for the save of the same path.
    loaded = io.load_checkpoint(tmp_path / "c.ckpt", map_location="cpu")
    assert loaded["betas"] == (0.9, 0.99) and loaded["n"].tolist() == [0, 1, 2]
    io.remove_checkpoint(tmp_path / "c.ckpt")
    assert not (tmp_path / "c.ckpt").exists()
    io.teardown()


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face_logs_and_saves(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import qstore.torch
    from qstore.hf import QStoreCallback

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x, labels=None):
            out = self.layer(x).squeeze(-1)
            return {"loss": (out - labels).square().mean(), "logits": out}

    torch.manual_seed(1)
    model = Model()
    rows = [{"x": torch.full((4,), n / 16), "labels": torch.tensor(n / 4)} for n in range(16)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "hf"), num_train_epochs=2, per_device_train_batch_size=4, logging_steps=1,
        save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    callback = QStoreCallback(tmp_path / "m.parquet", tmp_path / "c", save_steps=3, keep_last=5)
    trainer = transformers.Trainer(
        model, arguments, train_dataset=rows, eval_dataset=rows[:4], callbacks=[callback]
    )
    trainer.train()
    logged = pandas.read_parquet(tmp_path / "m.parquet")
    steps = logged[logged["train_loss"].notna()]
    assert steps["step"].tolist() == list(range(1, 9)) and steps["grad_norm"].notna().all()
    assert steps["epoch"].tolist() == [0, 0, 0, 1, 1, 1, 1, 2] and "learning_rate" in logged
    with CheckpointManager(tmp_path / "c") as manager:
        assert manager.list_checkpoints() == [3, 6]
        other = Model()
        loaded = qstore.torch.resume(manager, other)
        assert loaded["epoch"] == 6 and loaded["optimizer_state"]["state"][0]["step"] == 6
        assert loaded["parts"]["scheduler"]["last_epoch"] == 6 and "random" in loaded["parts"]


@pytest.mark.filterwarnings("ignore")
def test_keras_logs_saves_and_resumes(tmp_path, monkeypatch):
    for backend in ("jax", "torch"):
        try:
            __import__(backend)
            break
        except ImportError:
            continue
    else:
        pytest.skip("could not import 'jax' or 'torch', which Keras computes with")
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", backend)
    keras = pytest.importorskip("keras")
    from qstore.keras import QStoreCallback, resume

    def make():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
        return model

    x = numpy.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
    y = x.sum(1)

    def fit(model, path, first, epochs):
        callback = QStoreCallback(path / "m.parquet", path / "c", keep_last=2)
        model.fit(x, y, batch_size=4, epochs=epochs, initial_epoch=first, shuffle=False, verbose=0,
                  validation_data=(x, y), callbacks=[callback])  # fmt: skip

    whole = make()
    assert resume(tmp_path / "none", whole) is None
    fit(whole, tmp_path / "whole", 0, 4)
    fit(make(), tmp_path / "parts", 0, 2)
    second = make()
    assert resume(tmp_path / "parts" / "c", second) == 1
    fit(second, tmp_path / "parts", 2, 4)
    for ours, expected in zip(second.get_weights(), whole.get_weights(), strict=True):
        assert (ours == expected).all()
    rows = pandas.read_parquet(tmp_path / "parts" / "m.parquet")
    steps, epochs = rows[rows["step"] >= 0], rows[rows["step"] < 0]
    assert steps["step"].tolist() == list(range(16)), "a run that is resumed counts on"
    assert steps["train_loss"].notna().all() and steps["mae"].notna().all()
    assert epochs["epoch"].tolist() == [0, 1, 2, 3] and epochs["val_loss"].notna().all()
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(CheckpointError, match="weights of the model have the shapes"):
        resume(tmp_path / "parts" / "c", small)
    other = make()
    other.compile(keras.optimizers.SGD(0.01), "mse")
    before = other.get_weights()
    with pytest.raises(CheckpointError, match="variables of the optimizer have the shapes"):
        resume(tmp_path / "parts" / "c", other)
    for ours, expected in zip(other.get_weights(), before, strict=True):
        assert (ours == expected).all()


@pytest.mark.filterwarnings("ignore")
def test_what_a_device_of_pennylane_did_is_logged(tmp_path):
    qml = pytest.importorskip("pennylane")
    from pennylane import numpy as pnp

    from qstore.pennylane import DeviceUsage

    for shots in (None, 100):
        device = qml.device("default.qubit", wires=2, seed=5)

        @qml.set_shots(shots)
        @qml.qnode(device, diff_method="parameter-shift")
        def cost(weights):
            qml.RX(weights[0], wires=0)
            qml.RY(weights[1], wires=1)
            qml.CNOT(wires=[0, 1])
            return qml.expval(qml.PauliZ(1))

        weights = pnp.array([0.3, 0.4], requires_grad=True)
        optimizer = qml.GradientDescentOptimizer(0.1)
        path = tmp_path / f"{shots}.parquet"
        with AsyncMetricsLogger(path) as logger, DeviceUsage(device) as usage:
            for step in range(3):
                weights, loss = optimizer.step_and_cost(cost, weights)
                logger.log_step(0, step, float(loss), **usage.take())
            assert usage.take()["circuits_executed"] == 0
        rows = pandas.read_parquet(path)
        # One circuit for the value, and two for each of two parameters.
        assert rows["circuits_executed"].tolist() == [5, 5, 5]
        assert set(rows["shots_per_circuit"]) == {shots or 0} and set(rows["qubits_used"]) == {2}
        assert set(rows["backend"]) == {"default.qubit"} and (rows["batch_time_ms"] > 0).all()


def test_the_callbacks_for_qiskit_log_what_its_algorithms_pass(tmp_path):
    import qstore.qiskit

    with AsyncMetricsLogger(tmp_path / "m.parquet") as logger:
        vqe = qstore.qiskit.vqe(logger, backend="aer_simulator")
        vqe(1, numpy.zeros(3), -1.5, {"variance": 0.25, "shots": 1024, "target": object()})
        vqe(2, numpy.zeros(3), complex(-1.75, 0.0), {})
        spsa = qstore.qiskit.spsa(logger, epoch=1, qubits_used=4)
        spsa(2, numpy.zeros(3), 0.5, 0.1, True)
        spsa(5, numpy.zeros(3), 0.25, 0.05, numpy.bool_(False))
        objective = qstore.qiskit.objective(logger, epoch=2)
        objective(numpy.zeros(3), numpy.float64(0.75))
    rows = pandas.read_parquet(tmp_path / "m.parquet")
    assert rows["train_loss"].tolist() == [-1.5, -1.75, 0.5, 0.25, 0.75]
    assert rows["step"].tolist() == [1, 2, 0, 1, 0] and rows["epoch"].tolist() == [0, 0, 1, 1, 2]
    assert rows["variance"].dropna().tolist() == [0.25] and rows["shots_per_circuit"].dropna().tolist() == [1024]
    assert rows["circuits_executed"].dropna().tolist() == [2, 3]
    assert rows["accepted"].dropna().tolist() == [True, False]


def test_no_scalar_that_qiskit_passes_is_lost_and_no_name_ends_the_run(tmp_path):
    import qstore.qiskit

    metadata = {
        "epoch": 7, "step": 8.5, "train_loss": 9.5, "timestamp": 1.5, "backend": "of the metadata",
        "count": numpy.int64(3), "variance": numpy.float32(0.25), "converged": numpy.bool_(True),
        "one": numpy.array([2.5]), "zero_d": numpy.array(4), "amplitude": 1 + 2j, "shots": "default",
        "many": numpy.zeros(3), "nested": {}, "nothing": None,
    }  # fmt: skip
    with AsyncMetricsLogger(tmp_path / "m.parquet") as logger:
        vqe = qstore.qiskit.vqe(logger, backend="aer_simulator")
        assert vqe(1, numpy.zeros(3), -1.5, metadata) is None
        vqe(2, numpy.zeros(3), -1.75, {"shots": numpy.int64(1024)})
    first, second = pandas.read_parquet(tmp_path / "m.parquet").to_dict("records")
    assert (first["epoch"], first["step"], first["train_loss"], first["backend"]) == (0, 1, -1.5, "aer_simulator")
    assert first["timestamp"] > 1e9
    renamed = {name: first[f"{name}_logged"] for name in ("epoch", "step", "train_loss", "timestamp", "backend")}
    assert renamed == {name: metadata[name] for name in renamed}
    kept = {name: first[name] for name in ("count", "variance", "converged", "one", "zero_d", "amplitude", "shots")}
    assert kept == {**{name: metadata[name] for name in kept}, "one": 2.5, "amplitude": "(1+2j)"}
    assert not {"many", "nested", "nothing"} & set(first) and second["shots_per_circuit"] == 1024


@pytest.mark.filterwarnings("ignore")
def test_an_algorithm_of_qiskit_calls_them(tmp_path):
    algorithms = pytest.importorskip("qiskit_algorithms")
    from qiskit.circuit.library import real_amplitudes
    from qiskit.primitives import StatevectorEstimator
    from qiskit.quantum_info import SparsePauliOp

    import qstore.qiskit

    with AsyncMetricsLogger(tmp_path / "m.parquet") as logger:
        optimizer = algorithms.optimizers.SPSA(maxiter=3, callback=qstore.qiskit.spsa(logger, epoch=1))
        ansatz = real_amplitudes(2, reps=1)
        vqe = algorithms.VQE(StatevectorEstimator(), ansatz, optimizer, callback=qstore.qiskit.vqe(logger))
        vqe.compute_minimum_eigenvalue(SparsePauliOp(["ZZ", "XI"]))
    rows = pandas.read_parquet(tmp_path / "m.parquet")
    assert (rows["epoch"] == 1).sum() == 3 and (rows["epoch"] == 0).sum() > 3
    assert rows["train_loss"].notna().all()
