"""What the tests of the original package ask of a replacement, by their names, through ``qstore.compat``."""

import asyncio
import time

import numpy
import pandas
import pytest

from qstore.compat import (
    AsyncBuffer,
    AsyncMetricsLogger,
    AsyncMetricsWriter,
    CheckpointManager,
    TrainingMetrics,
)


def test_buffer_push_pop():
    buffer = AsyncBuffer(maxsize=10)
    assert [buffer.push(i) for i in range(5)] == [True] * 5
    assert len(buffer) == 5
    assert [buffer.pop(timeout=0.1) for _ in range(5)] == list(range(5))
    assert len(buffer) == 0


def test_buffer_overflow():
    buffer = AsyncBuffer(maxsize=5)
    assert [buffer.push(i) for i in range(6)] == [True] * 5 + [False]
    assert buffer.dropped_count == 1


def test_buffer_timeout():
    assert AsyncBuffer(maxsize=5).pop(timeout=0.1) is None


def test_buffer_stats():
    buffer = AsyncBuffer(maxsize=10, name="test")
    buffer.push(1)
    buffer.push(2)
    assert buffer.pop() == 1
    stats = buffer.stats()
    assert (stats["name"], stats["pushed"], stats["popped"], stats["dropped"]) == ("test", 2, 1, 0)


def test_writer_basic_write(tmp_path):
    buffer = AsyncBuffer(maxsize=100)
    writer = AsyncMetricsWriter(buffer=buffer, output_path=tmp_path / "m.parquet", flush_interval=5)
    writer.start()
    for i in range(10):
        buffer.push({"step": i, "loss": 1.0 / (i + 1)})
    writer.stop()
    frame = pandas.read_parquet(tmp_path / "m.parquet")
    assert list(frame.columns) == ["step", "loss"]
    assert frame["step"].tolist() == list(range(10))


def test_writer_append_mode(tmp_path):
    buffer = AsyncBuffer(maxsize=100)
    for session in range(2):
        writer = AsyncMetricsWriter(buffer, tmp_path / "m.parquet", flush_interval=5)
        writer.start()
        for i in range(5):
            assert buffer.push({"step": 5 * session + i, "loss": 0.5})
        writer.stop()
    assert pandas.read_parquet(tmp_path / "m.parquet")["step"].tolist() == list(range(10))


def test_checkpoint_save_load(tmp_path):
    async def run():
        manager = CheckpointManager(tmp_path / "checkpoints")
        model = {"weights": numpy.random.randn(10, 10), "bias": numpy.random.randn(10)}
        await manager.save(epoch=1, model_state=model, metadata={"loss": 0.5})
        loaded = await manager.load(epoch=1)
        assert set(loaded) == {"epoch", "model_state", "optimizer_state", "metadata"}
        assert (loaded["epoch"], loaded["optimizer_state"]) == (1, {})
        for name, value in model.items():
            assert numpy.array_equal(loaded["model_state"][name], value)
        assert loaded["metadata"]["loss"] == 0.5
        assert set(loaded["metadata"]) == {"epoch", "timestamp", "save_duration_ms", "loss"}
        info = manager.get_checkpoint_info(1)
        assert set(info) == {"epoch", "timestamp", "model_size_mb", "metadata"}
        assert info["model_size_mb"] == 880 / 2**20 and info["metadata"] == loaded["metadata"]
        for call in (manager.get_checkpoint_info, manager._load):
            with pytest.raises(ValueError, match="^Checkpoint not found: epoch_0777$"):
                call(777)

    asyncio.run(run())


def test_checkpoint_cleanup(tmp_path):
    async def run():
        manager = CheckpointManager(tmp_path, keep_last=2)
        for epoch in range(1, 6):
            await manager.save(epoch=epoch, model_state={"w": numpy.array([epoch])})
        assert manager.list_checkpoints() == [4, 5]
        assert manager.latest_checkpoint() == 5

    asyncio.run(run())


def test_checkpoint_compression(tmp_path):
    async def run():
        manager = CheckpointManager(tmp_path, compression="zstd", compression_level=5)
        large = numpy.random.randn(1000, 1000)
        await manager.save(epoch=1, model_state={"large": large})
        assert numpy.array_equal((await manager.load(1))["model_state"]["large"], large)

    asyncio.run(run())
    with pytest.raises(ValueError, match="Unknown compression: brotli"):
        CheckpointManager(tmp_path, compression="brotli")


def test_checkpoint_list(tmp_path):
    manager = CheckpointManager(tmp_path / "new")
    assert (manager.list_checkpoints(), manager.latest_checkpoint()) == ([], None)
    (tmp_path / "new" / "epoch_best").mkdir()
    assert manager.list_checkpoints() == []


def test_checkpoints_of_the_original_are_listed_and_loaded(tmp_path):
    zarr = pytest.importorskip("zarr")
    weights = numpy.arange(6.0).reshape(2, 3)
    for version in (2, 3):
        directory = tmp_path / str(version)
        root = zarr.open_group(directory, mode="w", zarr_format=version)
        for epoch in (3, 12):
            group = root.create_group(f"epoch_{epoch:04d}")
            group.create_group("model").create_array("w", data=weights * epoch)
            group.create_group("optimizer").create_group("state").create_array("m", data=numpy.zeros(3))
            group.attrs.update({"epoch": epoch, "timestamp": 1.5e9, "save_duration_ms": 2.5, "loss": 0.25})

        async def run(directory=directory):
            manager = CheckpointManager(directory, keep_last=1)
            assert (manager.list_checkpoints(), manager.latest_checkpoint()) == ([3, 12], 12)
            loaded = await manager.load(3)
            assert numpy.array_equal(loaded["model_state"]["w"], weights * 3)
            assert loaded["optimizer_state"]["state"]["m"].tolist() == [0, 0, 0]
            assert loaded["metadata"] == {"epoch": 3, "timestamp": 1.5e9, "save_duration_ms": 2.5, "loss": 0.25}
            assert manager.get_checkpoint_info(12)["model_size_mb"] == 48 / 2**20
            await manager.save(13, {"w": weights})
            await manager.save(14, {"w": weights})
            assert manager.list_checkpoints() == [3, 12, 14], "the original's are never removed"
            assert manager.latest_checkpoint() == 14

        asyncio.run(run())


def test_full_workflow(tmp_path):
    async def run():
        logger = AsyncMetricsLogger(tmp_path / "metrics.parquet", buffer_size=100, flush_interval=10)
        manager = CheckpointManager(tmp_path / "checkpoints", keep_last=2)
        weights = numpy.zeros(100)
        for epoch in range(1, 4):
            for step in range(10):
                weights += 0.1
                await logger.log_step(epoch=epoch, step=step, train_loss=1 / (step + 1))
            await manager.save(epoch, {"w": weights}, {"lr": 0.1}, {"epoch_loss": 0.1})
        logger.stop()
        assert manager.list_checkpoints() == [2, 3]
        assert numpy.array_equal((await manager.load(3))["model_state"]["w"], weights)

    asyncio.run(run())
    assert len(pandas.read_parquet(tmp_path / "metrics.parquet")) == 30


def test_training_metrics_creation_and_to_dict():
    row = TrainingMetrics(epoch=1, step=10, timestamp=time.time(), train_loss=0.5)
    assert (row.epoch, row.grad_norm, row.shots_per_circuit, row.backend) == (1, 0.0, 1024, "simulator")
    assert len(row.to_dict()) == 18


def test_logger_log_step(tmp_path):
    async def train():
        logger = AsyncMetricsLogger(tmp_path / "m.parquet", buffer_size=100, flush_interval=10)
        for step in range(20):
            await logger.log_step(epoch=1, step=step, train_loss=0.5, grad_norm=0.1)
        logger.stop()

    asyncio.run(train())
    frame = pandas.read_parquet(tmp_path / "m.parquet")
    assert (len(frame), set(frame["epoch"])) == (20, {1})
    assert str(frame["epoch"].dtype) == "int64"


def test_logger_log_epoch(tmp_path):
    async def train():
        logger = AsyncMetricsLogger(tmp_path / "m.parquet")
        await logger.log_epoch(1, {"loss": 0.5, "accuracy": 0.8}, {"loss": 0.55, "accuracy": 0.75})
        logger.stop()

    asyncio.run(train())
    (row,) = pandas.read_parquet(tmp_path / "m.parquet").to_dict("records")
    assert (row["step"], row["train_loss"], row["val_loss"]) == (-1, 0.5, 0.55)
    assert (row["accuracy"], row["val_accuracy"]) == (0.8, 0.75)


def test_logger_stats_of_one_that_is_never_stopped(run_script, tmp_path):
    script = """
        import sys
        from qstore.compat import AsyncMetricsLogger
        logger = AsyncMetricsLogger(sys.argv[1])
        assert set(logger.stats()) == {"buffer", "writer"}
    """
    run_script(script, tmp_path / "m.parquet", timeout=20)
