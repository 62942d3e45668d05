"""The modules for Lightning, Transformers and Keras without these: stand-ins have the few names that the modules take of
them. What the frameworks themselves do with the modules is tested in ``test_integrations.py``.
"""

import contextlib
import fcntl
import importlib
import sys
import types

import numpy
import pandas
import pytest

import qstore
from qstore import CheckpointError, CheckpointManager, SaveError, StateError


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the package over stand-ins: the contents of modules by name."""

    def load(name, stand_ins):
        for full, contents in {**stand_ins, name: {}}.items():
            stand_in = types.ModuleType(full)
            vars(stand_in).update(contents)
            monkeypatch.setitem(sys.modules, full, stand_in)
        # Imported anew; what was there before is there again after the test.
        monkeypatch.setattr(qstore, name.rpartition(".")[2], None, raising=False)
        del sys.modules[name]
        return importlib.import_module(name)

    return load


class Recorded(CheckpointManager):
    """Notes what is opened and closed, in order. The first save into a directory runs until a manager is closed."""

    def __init__(self, path, *arguments, **settings):
        super().__init__(path, *arguments, **settings)
        # One that is forgotten would be closed by the collector.
        self.kept.append(self)
        opened = ("open", self.checkpoint_dir.name)
        if opened not in self.log:
            self.held.enter_context(held(self.checkpoint_dir))
        self.log.append(opened)

    def close(self, timeout=None):
        self.log.append(("close", self.checkpoint_dir.name))
        self.held.close()
        super().close(timeout)


@pytest.fixture
def lightning(module, monkeypatch):
    name = "lightning.pytorch"
    stand_ins = {
        "lightning": {},
        name: {},
        f"{name}.loggers.logger": {"Logger": object},
        f"{name}.plugins.io": {"CheckpointIO": object},
        f"{name}.utilities": {"rank_zero_only": lambda function: function},
    }
    loaded = module("qstore.lightning", stand_ins)
    with contextlib.ExitStack() as stack:
        recorded = type("Manager", (Recorded,), {"log": [], "kept": [], "held": stack})
        monkeypatch.setattr(loaded, "CheckpointManager", recorded)
        yield loaded


@contextlib.contextmanager
def held(directory):
    """Holds every save into a directory: it takes this lock before it is published."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".qstore.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def occupy(directory, number):
    """Makes the save of a number fail: what others wrote is never replaced."""
    (directory / f"epoch_{number:04d}.zarr.zip").mkdir(parents=True)
    (directory / f"epoch_{number:04d}.zarr.zip" / "notes").write_text("notes")


def test_a_failed_save_of_lightning_forgets_no_other(lightning, tmp_path):
    io = lightning.AsyncCheckpointIO()
    names = ["a.ckpt", "b.ckpt", "c.ckpt", "d.ckpt"]
    for name in ("a.ckpt", "c.ckpt"):
        occupy(tmp_path / name, 1)
    for name in names:
        io.save_checkpoint({"global_step": 1, "w": numpy.ones(3)}, tmp_path / name)
    with pytest.raises(SaveError, match="the save of 1 failed") as failed:
        io.teardown()
    assert [name for what, name in lightning.CheckpointManager.log if what == "close"] == names
    assert "a.ckpt" in str(failed.value) and "c.ckpt" in failed.value.__notes__[0] and len(failed.value.__notes__) == 1
    io.teardown()
    for name in ("b.ckpt", "d.ckpt"):
        assert io.load_checkpoint(tmp_path / name)["w"].tolist() == [1, 1, 1]


def test_the_last_save_of_a_path_is_what_it_has(lightning, tmp_path):
    io = lightning.AsyncCheckpointIO()
    path = tmp_path / "last.ckpt"
    io.save_checkpoint({"global_step": 2, "w": 2}, path)
    (tmp_path / "link").symlink_to(tmp_path)
    io.save_checkpoint({"global_step": 1, "w": 1}, tmp_path / "link" / "last.ckpt")
    # Two managers would save at the same time, and the one that ends last would remove the other's checkpoint.
    assert lightning.CheckpointManager.log == [("open", path.name), ("close", path.name), ("open", path.name)]
    assert io.load_checkpoint(path)["w"] == 1
    io.teardown()


def test_a_state_that_lightning_cannot_save_leaves_no_manager_open(lightning, tmp_path):
    io = lightning.AsyncCheckpointIO()
    with pytest.raises(StateError):
        io.save_checkpoint({"w": object()}, tmp_path / "a.ckpt")
    assert lightning.CheckpointManager.log == [("open", "a.ckpt"), ("close", "a.ckpt")]


@pytest.fixture(autouse=True)
def numpy_in_place_of_torch(monkeypatch):
    """Lightning's states are loaded as tensors of torch, which is not there."""
    load_latest = CheckpointManager.load_latest
    if "torch" not in sys.modules:
        monkeypatch.setattr(CheckpointManager, "load_latest", lambda self, tensors=None: load_latest(self))


def test_a_metric_of_lightning_that_is_called_step_is_kept(lightning, tmp_path):
    logger = lightning.MetricsLogger(tmp_path)
    logger.log_metrics({"epoch": 1, "step": 7.5, "loss": 0.5}, step=3)
    logger.log_metrics({"step": 8.5, "step_logged": 9.5}, step=4)
    logger.finalize("success")
    rows = pandas.read_parquet(tmp_path / "qstore_logs" / "version_0" / "metrics.parquet")
    assert rows["step"].tolist() == [3, 4] and rows["epoch"].tolist() == [1, 0]
    assert rows["step_logged"].tolist() == [7.5, 9.5] and rows["step_logged_logged"].dropna().tolist() == [8.5]


@pytest.fixture
def hf(module):
    return module("qstore.hf", {"transformers": {"TrainerCallback": object}})


def arguments(**others):
    return types.SimpleNamespace(**{"save_strategy": "steps", "fsdp": [], "deepspeed": None, **others})


STATE = types.SimpleNamespace(is_world_process_zero=True, global_step=1, epoch=0.5)


@pytest.mark.parametrize(
    ("given", "environment", "what"),
    [
        ({"save_strategy": "no"}, {}, "nothing would be saved"),
        ({"save_strategy": types.SimpleNamespace(value="no")}, {}, "nothing would be saved"),
        ({"fsdp": ["full_shard"]}, {}, "with fsdp each process has only a part"),
        ({"deepspeed": "config.json"}, {}, "with deepspeed each process has only a part"),
        ({}, {"ACCELERATE_USE_FSDP": "true"}, "with fsdp"),
        ({}, {"ACCELERATE_USE_DEEPSPEED": "true"}, "with deepspeed"),
    ],
)
def test_what_would_save_nothing_or_a_part_is_refused(hf, tmp_path, monkeypatch, given, environment, what):
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=what):
        hf.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c").on_train_begin(arguments(**given), STATE, None)
    assert not list(tmp_path.iterdir())
    # Without a directory there is nothing that could be missed.
    callback = hf.QStoreCallback(tmp_path / "m.parquet")
    callback.on_train_begin(arguments(**given), STATE, None)
    callback.on_train_end(None, STATE, None)
    if given.get("save_strategy"):
        # With steps of its own it saves all the same.
        callback = hf.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c", save_steps=1)
        callback.on_train_begin(arguments(**given), STATE, None)
        callback.on_train_end(None, STATE, None)


@pytest.mark.parametrize("steps", [0, -1])
def test_a_save_after_no_step_is_refused(hf, tmp_path, steps):
    with pytest.raises(ValueError, match=f"save_steps is {steps}"):
        hf.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c", save_steps=steps)


def test_a_metric_of_transformers_that_is_called_step_is_kept(hf, tmp_path):
    callback = hf.QStoreCallback(tmp_path / "m.parquet")
    callback.on_train_begin(arguments(), STATE, None)
    callback.on_log(arguments(), STATE, None, {"loss": 0.25, "step": 7, "epoch": 0.5})
    callback.on_train_end(arguments(), STATE, None)
    row = pandas.read_parquet(tmp_path / "m.parquet").iloc[0]
    assert (row["step"], row["step_logged"], row["train_loss"], row["epoch"], row["epoch_progress"]) == (1, 7, 0.25, 0, 0.5)


def test_what_a_failed_training_left_open_is_ended_and_its_failure_reported(hf, tmp_path):
    callback = hf.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c", layout="file", counter="epoch")
    callback.on_train_begin(arguments(), STATE, None)
    first = callback._recording.logger, callback._recording.manager
    callback.on_log(arguments(), STATE, None, {"loss": 0.25})
    occupy(tmp_path / "c", 1)
    first[1].save(1, {"w": 1})
    # The training raises, and its end is never told.
    with pytest.warns(RuntimeWarning, match="the training before this one left open.*the save of 1 failed"):
        callback.on_train_begin(arguments(), STATE, None)
    assert first[0]._is_stopped and first[1]._is_closed
    callback.on_log(arguments(), STATE, None, {"loss": 0.5})
    callback.on_train_end(arguments(), STATE, None)
    assert pandas.read_parquet(tmp_path / "m.parquet")["train_loss"].tolist() == [0.25, 0.5]


def test_a_directory_that_cannot_be_opened_leaves_no_file_open(hf, tmp_path):
    (tmp_path / "c").write_text("notes")
    callback = hf.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c")
    with pytest.raises(OSError):
        callback.on_train_begin(arguments(), STATE, None)
    assert callback._recording.logger is None
    # Nobody holds the file.
    qstore.AsyncMetricsLogger(tmp_path / "m.parquet", exist_ok=False).stop()


class Variable:
    def __init__(self, value):
        self.value = numpy.asarray(value)
        self.shape = self.value.shape

    def assign(self, value):
        self.value = numpy.asarray(value)


class Optimizer:
    def __init__(self, *shapes, iterations=0):
        self.iterations = Variable(iterations)
        self.shapes, self.variables = shapes, []

    def build(self, _):
        self.variables = [self.iterations, *(Variable(numpy.zeros(shape)) for shape in self.shapes)]


class Model:
    """As a model of Keras, as far as the module asks."""

    def __init__(self, optimizer=None, weights=((2, 3), (3,))):
        self.weights = self.trainable_variables = [Variable(numpy.zeros(shape)) for shape in weights]
        self.optimizer = optimizer

    def get_weights(self):
        return [weight.value for weight in self.weights]

    def set_weights(self, values):
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)


@pytest.fixture
def keras(module):
    ops = types.SimpleNamespace(convert_to_numpy=lambda variable: variable.value)
    callbacks = types.SimpleNamespace(Callback=object)
    return module("qstore.keras", {"keras": {"ops": ops, "callbacks": callbacks}})


def test_the_steps_of_keras_go_on_where_the_optimizer_is(keras, tmp_path):
    callback = keras.QStoreCallback(tmp_path / "m.parquet")
    callback.model = Model(Optimizer(iterations=40))
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        # Two batches at a time, as with `steps_per_execution`, and one that is left.
        for batch in (1, 3, 4):
            callback.on_train_batch_end(batch, {"loss": 0.5, "step": 1.5})
    callback.on_train_end()
    rows = pandas.read_parquet(tmp_path / "m.parquet")
    assert rows["step"].tolist() == [41, 43, 44, 46, 48, 49] and set(rows["step_logged"]) == {1.5}


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (Model(Optimizer((2, 3), (3,)), weights=((2, 3), (4,))), "the weights of the model have the shapes"),
        (Model(Optimizer((2, 3))), "the variables of the optimizer have the shapes"),
        (Model(Optimizer((2, 3), (4,))), "the variables of the optimizer have the shapes"),
    ],
)
def test_a_model_of_keras_that_does_not_fit_is_not_changed(keras, tmp_path, model, what):
    callback = keras.QStoreCallback(tmp_path / "m.parquet", tmp_path / "c")
    callback.model = Model(Optimizer((2, 3), (3,), iterations=7))
    callback.model.set_weights([numpy.ones((2, 3)), numpy.ones(3)])
    callback.model.optimizer.build(None)
    callback.on_train_begin()
    callback.on_epoch_end(4, {"loss": 0.5})
    callback.on_train_end()
    with pytest.raises(CheckpointError, match=what):
        keras.resume(tmp_path / "c", model)
    assert not any(weight.any() for weight in model.get_weights()) and model.optimizer.iterations.value == 0
    fitting = Model(Optimizer((2, 3), (3,)))
    assert keras.resume(tmp_path / "c", fitting) == 4
    assert fitting.optimizer.iterations.value == 7 and all(weight.all() for weight in fitting.get_weights())


def test_a_checkpoint_that_keras_did_not_save_is_refused(keras, tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save(1, {"layer.weight": numpy.ones(3)})
    with pytest.raises(CheckpointError, match="a dict as the weights of the model"):
        keras.resume(tmp_path, Model())
