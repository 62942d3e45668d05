"""The checkpoint manager: when a ticket is done the checkpoint is durable, and a state is that of the call."""

import array
import asyncio
import collections
import contextlib
import fcntl
import inspect
import os
import pickle
import sys
import threading
import warnings

import numpy
import pytest

import qstore
from qstore import CheckpointManager, SaveTicket, StateError


@contextlib.contextmanager
def held(directory):
    """Holds every save into a directory: it takes this lock before it is published."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".qstore.lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        # Closing the file releases it.


def state(epoch, size=1000):
    return {"w": numpy.full(size, epoch, "float32"), "epoch": epoch}


def test_saved_loaded_listed_and_described(tmp_path):
    directory = tmp_path / "run" / "checkpoints"
    with CheckpointManager(directory, keep_last=3) as manager:
        assert (manager.list_checkpoints(), manager.latest_checkpoint(), manager.load_latest()) == ([], None, None)
        for epoch in range(5):
            outcome = manager.save(epoch, state(epoch), {"lr": 0.1}, {"loss": 1 / (epoch + 1)}).wait(60)
        assert outcome and (outcome.kind, outcome.epoch, outcome.removed) == ("saved", 4, [1])
        assert outcome.stored_bytes == (directory / "epoch_0004.zarr.zip").stat().st_size
        assert manager.list_checkpoints() == [2, 3, 4]
        assert manager.latest_checkpoint() == 4
        loaded = manager.load(4)
        assert loaded["model_state"]["w"].tolist() == [4.0] * 1000
        assert loaded["optimizer_state"] == {"lr": 0.1}
        assert (loaded["epoch"], loaded["metadata"], loaded["parts"]) == (4, {"loss": 0.2}, {})
        assert manager.load_latest()["epoch"] == 4
        info = manager.get_checkpoint_info(3)
        assert (info["epoch"], info["metadata"]) == (3, {"loss": 0.25})
        assert info["model_size_mb"] == 4000 / 2**20
        assert info["timestamp"] < manager.get_checkpoint_info(4)["timestamp"]
        assert manager.verify(2)["epoch"] == 2
        assert repr(manager) == f"<CheckpointManager {str(directory)!r}: [2, 3, 4], 0 being saved>"
        manager.save(1, {})
    assert manager.list_checkpoints() == [1, 3, 4], "the newest save is never the one that is removed"
    assert manager.load(1)["optimizer_state"] is None
    assert manager.latest_checkpoint() == 1


def test_a_missing_epoch_is_a_value_error_that_names_those_that_exist(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save(3, {}).wait(60)
        for call in (manager.load, manager.get_checkpoint_info, manager.verify):
            with pytest.raises(ValueError, match=r"has no checkpoint 7; it has \[3\]") as missing:
                call(7)
            assert isinstance(missing.value, qstore.NotFoundError)


def test_damage_is_an_error_that_names_the_tensor(tmp_path):
    with CheckpointManager(tmp_path, compression="none") as manager:
        manager.save(1, state(1)).wait(60)
        manager.save(2, state(2)).wait(60)
        path = tmp_path / "epoch_0002.zarr.zip"
        data = bytearray(path.read_bytes())
        data[data.index(numpy.full(8, 2, "float32").tobytes())] ^= 1
        path.write_bytes(data)
        with pytest.raises(qstore.DamagedError, match="`model/w`") as damaged:
            manager.load(2)
        assert damaged.value.tensor == "model/w"
        with pytest.warns(RuntimeWarning, match="checkpoint 2 was skipped: .* is damaged"):
            assert manager.load_latest()["epoch"] == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"compression": "snappy"}, "compression"),
        ({"compression": "middling"}, "compression"),
        ({"compression_level": 10}, "compression"),
        ({"layout": "tar"}, "layout is \"tar\"; choose \"file\" or \"directory\""),
        ({"busy": "drop"}, "busy"),
        ({"counter": "batch"}, "counter"),
        ({"keep_best": (1, "loss", "least")}, "keep_best"),
        ({"keep_every": 0}, "keep_every"),
        ({"workers": 0}, "workers"),
        ({"deduplicate": True}, "deduplicate"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, arguments, what):
    with pytest.raises(ValueError, match=what):
        CheckpointManager(tmp_path, **arguments)


def test_a_path_that_is_a_file_is_left_alone(tmp_path):
    path = tmp_path / "notes"
    path.write_text("notes")
    with pytest.raises(OSError):
        CheckpointManager(path)
    assert path.read_text() == "notes"


def test_the_parameters_are_those_of_the_original():
    def names(method):
        parameters = inspect.signature(method).parameters.values()
        return [(each.name, each.default) for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1:]

    empty = inspect.Parameter.empty
    assert names(CheckpointManager.__init__) == [
        ("checkpoint_dir", empty),
        ("keep_last", 5),
        ("compression", "zstd"),
        ("compression_level", 3),
    ]
    assert names(CheckpointManager.save) == [
        ("epoch", empty),
        ("model_state", empty),
        ("optimizer_state", None),
        ("metadata", None),
    ]


def test_the_best_are_kept_steps_are_counted_and_pins_hold(tmp_path):
    manager = CheckpointManager(
        tmp_path, 1, keep_best=(1, "loss", "min"), keep_every=10, counter="step", layout="directory", deduplicate=True
    )
    with manager:
        frozen = numpy.arange(100_000.0)
        for step, loss in [(5, 0.5), (10, 0.4), (15, 0.1), (20, 0.3), (25, 0.2), (30, None)]:
            metadata = {} if loss is None else {"loss": loss}
            outcome = manager.save(step, {"frozen": frozen, "step": step}, metadata=metadata).wait(60)
            if step == 5:
                manager.pin(5)
        assert "no number `loss`" in outcome.unranked
        assert outcome.linked_bytes > 0
        assert manager.list_checkpoints() == [5, 10, 15, 20, 30]
        kept = manager.explain()
        assert [number for number, keep, _ in kept] == [30, 20, 15, 10, 5] and all(keep for _, keep, _ in kept)
        assert "pinned" in kept[-1][2]
        manager.unpin(5)
        assert manager.explain()[-1][:2] == (5, False)
        assert (tmp_path / "step_00000030" / "zarr.json").exists()


def test_a_thousand_arrays_that_change_right_after_the_call_are_not_torn(tmp_path):
    rounds = 50
    arrays = {f"w{number}": numpy.zeros(20_000, "float32") for number in range(20)}
    strided = numpy.zeros((200, 200))
    with CheckpointManager(tmp_path, keep_last=0, compression="none") as manager:
        for epoch in range(rounds):
            for each in arrays.values():
                each[:] = epoch
            strided[:] = epoch
            manager.save(epoch, {**arrays, "strided": strided[::2, ::-2].T, "list": (old := [epoch])})
            for each in arrays.values():
                each[:] = -1
            strided[:] = -1
            old[0] = -1
        manager.close()
        torn = 0
        for epoch in range(rounds):
            loaded = manager.load(epoch)["model_state"]
            assert loaded.pop("list") == [epoch]
            torn += sum(not (each == epoch).all() for each in loaded.values())
    assert torn == 0


def test_a_ticket_is_waited_for_with_a_limit_and_answers_the_same_again(tmp_path):
    manager = CheckpointManager(tmp_path)
    with held(tmp_path):
        ticket = manager.save(1, state(1))
        assert not ticket.done and ticket.outcome is None and manager.pending == 1
        assert repr(ticket) == "<SaveTicket: 1 is being saved>"
        with pytest.raises(TimeoutError, match="1 was not saved within"):
            ticket.wait(0.01)
        with pytest.raises(TimeoutError, match="saves are still running"):
            manager.close(0.01)
    assert ticket.wait() == ticket.wait(0) == ticket.outcome
    assert ticket.done and repr(ticket) == "<SaveTicket: 1 was saved>"
    with pytest.raises(ValueError, match="timeout is -1"):
        ticket.wait(-1)
    manager.close()
    with pytest.raises(qstore.StoppedError, match="accepts no more saves"):
        manager.save(2, {})
    assert manager.load(1)["epoch"] == 1


def test_what_happens_while_one_runs_and_one_waits_is_a_choice(tmp_path):
    for busy, expected in [("skip", ["saved", "skipped", "skipped"]), ("coalesce", ["saved", "superseded", "saved"])]:
        directory = tmp_path / busy
        with CheckpointManager(directory, busy=busy) as manager:
            with held(directory):
                # The first one is out of the queue once it has a file.
                tickets = [manager.save(1, state(1))]
                while not any((directory / ".staging").glob("*")):
                    pass
                tickets += [manager.save(2, state(2)), manager.save(3, state(3))]
            outcomes = [ticket.wait(60) for ticket in tickets]
            assert [each.kind for each in outcomes] == expected
            assert [bool(each) for each in outcomes] == [kind == "saved" for kind in expected]
            if busy == "coalesce":
                assert outcomes[1].superseded_by == 3
            assert sum(each["count"] for each in manager.health()["losses"].values()) == expected.count("skipped") + (
                expected.count("superseded")
            )


def test_a_failure_is_raised_by_its_ticket_or_by_the_next_save(tmp_path):
    directory = tmp_path / "c"
    manager = CheckpointManager(directory)
    manager.save(1, {}).wait(60)
    # A directory without a manifest has the name: what others wrote is never replaced.
    for _ in range(2):
        (directory / "epoch_0002.zarr.zip").mkdir(exist_ok=True)
        (directory / "epoch_0002.zarr.zip" / "notes").write_text("notes")
        ticket = manager.save(2, {})
        with pytest.raises(qstore.SaveError, match="the save of 2 failed"):
            ticket.wait(60)
        with pytest.raises(qstore.SaveError, match="the save of 2 failed"):
            _ = ticket.outcome
    ticket = manager.save(2, {})
    while not ticket.done:
        pass
    with pytest.raises(qstore.SaveError, match="an earlier save failed"):
        manager.save(3, {})
    assert manager.save(3, {}).wait(60)
    assert "failed" in repr(ticket) and "failed" in manager.health()["first_error"]
    with pytest.raises(qstore.SaveError, match="the save of 2 failed"):
        manager.close()
    assert manager.list_checkpoints() == [1, 3]


def test_awaited_in_every_way_of_asyncio(tmp_path):
    async def train(manager):
        assert (await manager.save(1, state(1))).kind == "saved"
        ticket = manager.save(2, state(2))
        assert await ticket is not None and await ticket == ticket.outcome, "again, when it is done"
        both = await asyncio.gather(manager.save(3, state(3)), manager.save(4, state(4)))
        assert [each.epoch for each in both] == [3, 4]
        task = asyncio.create_task(manager.save(5, state(5)))
        assert (await task).epoch == 5
        async with asyncio.TaskGroup() as group:
            in_group = group.create_task(manager.save(6, state(6)))
        assert in_group.result().epoch == 6
        with held(tmp_path):
            ticket = manager.save(7, state(7))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ticket, 0.01)
            canceled = asyncio.create_task(manager.save(8, state(8)))
            await asyncio.sleep(0)
            canceled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await canceled
            assert not ticket.done
        assert (await ticket).epoch == 7, "the save went on"
        assert (await asyncio.to_thread(manager.save(9, state(9)).wait)).epoch == 9

    with CheckpointManager(tmp_path, keep_last=0) as manager:
        asyncio.run(train(manager))
        assert asyncio.run(manager.save(10, state(10))).epoch == 10
    assert manager.list_checkpoints() == [*range(1, 11)]


def test_the_loop_goes_on_while_a_save_is_awaited(tmp_path):
    async def train(manager):
        turns = 0
        with held(tmp_path):
            task = asyncio.create_task(manager.save(1, state(1)))
            while turns < 100:
                await asyncio.sleep(0)
                turns += 1
            assert not task.done()
        await task

    with CheckpointManager(tmp_path) as manager:
        asyncio.run(train(manager))


def test_awaited_in_trio(tmp_path):
    trio = pytest.importorskip("trio")

    async def train(manager):
        assert (await manager.save(1, state(1))).epoch == 1
        with held(tmp_path):
            ticket = manager.save(2, state(2))
            with trio.move_on_after(0.01) as scope:
                await ticket
            assert scope.cancelled_caught
        assert (await ticket).epoch == 2

    with CheckpointManager(tmp_path) as manager:
        trio.run(train, manager)


def test_a_forgotten_ticket_is_no_warning_and_no_open_file(tmp_path, recwarn):
    with CheckpointManager(tmp_path) as manager:
        manager.save(1, state(1))
        ticket = manager.save(2, state(2))
        ticket.close()
        del ticket
    assert manager.list_checkpoints() == [1, 2] and not recwarn


def test_an_await_that_is_canceled_leaves_no_pipe_open(tmp_path):
    def count():
        # The background thread may have files open.
        targets = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum(os.path.islink(each) and os.readlink(each).startswith("pipe:") for each in targets)

    async def cancel(manager):
        with held(tmp_path):
            tasks = [asyncio.create_task(manager.save(epoch, {})) for epoch in range(2)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not list them")
    with CheckpointManager(tmp_path) as manager:
        asyncio.run(cancel(manager))
        manager.save(3, {}).wait(60)
        before = count()
        for _ in range(5):
            asyncio.run(cancel(manager))
            manager.save(3, {}).wait(60)
        assert count() == before


Optimizer = collections.namedtuple("Optimizer", "count mu nu")


def test_arrays_that_exist_are_filled(tmp_path):
    saved = {"w": numpy.arange(6.0).reshape(2, 3), "b": numpy.float32(3), "lr": 0.5, "l": [numpy.arange(3, dtype=">i4")]}
    optimizer = Optimizer(3, (numpy.ones(4, "float16"),), {"x": numpy.zeros((0, 2))})
    with CheckpointManager(tmp_path) as manager:
        manager.save(1, saved, optimizer, parts={"rng": [numpy.arange(5, dtype="u8")], "other": (1, numpy.ones(2))})
        manager.save(2, saved).wait(60)
        base = numpy.zeros((3, 4))
        model = {"l": [numpy.zeros(6, "i4")[::2]], "w": base.T[:2, :], "b": numpy.zeros((), ">f4"), "lr": None}
        targets = Optimizer(0, (numpy.zeros(8, "float16")[::-2],), {"x": numpy.ones((0, 2))})
        rng = numpy.zeros(5, ">u8")
        loaded = manager.load_into(1, model, targets, parts={"rng": [rng]})
        assert loaded["model_state"]["w"] is model["w"] and model["w"].tolist() == saved["w"].tolist()
        assert base[:, :2].tolist() == saved["w"].T.tolist()
        assert model["b"] == 3 and model["l"][0].tolist() == [0, 1, 2] and loaded["model_state"]["lr"] == 0.5
        assert list(loaded["model_state"]) == list(saved)
        filled = loaded["optimizer_state"]
        assert type(filled) is Optimizer and filled.count == 3 and filled.mu[0] is targets.mu[0]
        assert targets.mu[0].tolist() == [1, 1, 1, 1]
        assert rng.tolist() == [0, 1, 2, 3, 4] and loaded["parts"]["rng"][0] is rng
        assert loaded["parts"]["other"][1].tolist() == [1, 1]
        # What cannot be written to is replaced.
        fixed = numpy.zeros((2, 3))
        fixed.flags.writeable = False
        loaded = manager.load_into(2, {**model, "w": fixed})
        assert loaded["model_state"]["w"].tolist() == saved["w"].tolist() and not fixed.any()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"w": numpy.zeros((3, 2))}, "model_state.w"),
        ({"w": numpy.zeros((2, 3), "f4")}, "model_state.w"),
        ({"w": 1.0}, "model_state.w"),
        ({"w": {}}, "model_state.w"),
        ({"more": 1}, "model_state"),
        ({"l": [1]}, "model_state.l"),
        ({"l": 1}, "model_state.l"),
        ({"lr": [1]}, "model_state.lr"),
        ({"lr": numpy.zeros(())}, "model_state.lr"),
        ({"none": numpy.zeros(2)}, "model_state.none"),
        ({"text": array.array("d", [1])}, "model_state.text"),
        ({"bytes": memoryview(bytearray(2))}, "model_state.bytes"),
        ({"none": numpy.array([object()])}, "model_state.none"),
        ({"w": numpy.array([object()])}, "model_state.w"),
    ],
)
def test_a_state_that_does_not_fit_is_not_changed(tmp_path, change, path):
    with CheckpointManager(tmp_path) as manager:
        first = numpy.zeros(3)
        plain = {"none": None, "text": "x", "bytes": b"xy"}
        manager.save(1, {"a": numpy.ones(3), "w": numpy.ones((2, 3)), "l": [1, 2], "lr": 0.5, **plain}).wait(60)
        target = {"a": first, "w": numpy.zeros((2, 3)), "l": [0, 0], "lr": 0, **plain, **change}
        with pytest.raises(StateError) as refused:
            manager.load_into(1, target)
        assert refused.value.path == path and f"`{path}`" in str(refused.value)
        assert not first.any()
        fits = {"a": first, "w": numpy.zeros((2, 3)), "l": [0, 0], "lr": 0, **plain}
        for others in ({"optimizer_state": {"x": 1}}, {"optimizer_state": 1}):
            with pytest.raises(StateError, match="checkpoint 1 has no `optimizer_state`"):
                manager.load_into(1, fits, **others)
        with pytest.raises(StateError, match=r"checkpoint 1 has no `rng`; its parts are \['model'\]") as refused:
            manager.load_into(1, fits, parts={"rng": None})
        assert refused.value.path == "rng"
        assert not first.any()


def test_a_scalar_of_numpy_is_a_value_and_not_an_array_to_be_filled(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        manager.save(1, {"lr": 0.5, "n": None, "key": b"ab"}).wait(60)
        target = {"lr": numpy.float32(1), "n": numpy.int64(3), "key": bytearray(3)}
        assert manager.load_into(1, target)["model_state"] == {"lr": 0.5, "n": None, "key": b"ab"}


def test_many_threads_save_at_the_same_time(tmp_path):
    with CheckpointManager(tmp_path, keep_last=0, compression="none") as manager:

        def work(number):
            for epoch in range(number * 100, number * 100 + 10):
                manager.save(epoch, {"w": numpy.full(50_000, epoch)})

        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(manager.list_checkpoints()) == 40
    for epoch in manager.list_checkpoints():
        assert (manager.load(epoch)["model_state"]["w"] == epoch).all()


def test_errors_are_pickled_and_managers_and_tickets_are_not(tmp_path):
    errors = [
        qstore.CheckpointError("a"),
        qstore.NotFoundError("b"),
        qstore.SaveError("c"),
        qstore.DamagedError("d", "model/w"),
        qstore.StateError("e", "model.w"),
    ]
    for error in errors:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.args, vars(again)) == (type(error), error.args, vars(error))
        assert isinstance(error, qstore.CheckpointError) and isinstance(error, qstore.Error)
    with CheckpointManager(tmp_path) as manager:
        ticket = manager.save(1, {})
        assert isinstance(ticket, SaveTicket) and isinstance(ticket, collections.abc.Coroutine)
        for each, says in [(manager, "open one in the worker"), (ticket, "the process that saves")]:
            with pytest.raises(TypeError, match=says):
                pickle.dumps(each)


def test_a_manager_that_is_forgotten_saves_what_it_took(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CheckpointManager(tmp_path).save(1, state(1))
        with CheckpointManager(tmp_path) as manager:
            assert manager.list_checkpoints() == [1]


def test_hundreds_of_saves_leave_no_memory_behind(run_script, tmp_path):
    script = """
        import sys
        import numpy
        import qstore

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * 4096 / 1e6

        state = {f"w{number}": numpy.zeros(5_000) for number in range(4)}
        state["nested"] = ({"x": 2**100, "y": b"abc"}, [1.5, None])
        manager = qstore.CheckpointManager(sys.argv[1], keep_last=2, compression="none")

        def save(count):
            for epoch in range(count):
                ticket = manager.save(epoch % 7, state)
                if epoch % 50 == 0:
                    ticket.wait(60)
                    manager.load(epoch % 7)
            ticket.wait(60)

        save(100)
        before = resident()
        save(400)
        grown = resident() - before
        manager.close()
        print(grown)
        assert grown < 8, grown
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not tell the resident memory")
    run_script(script, tmp_path / "c", timeout=300)


def test_tied_arrays_are_copied_once_and_come_back_under_each_name(tmp_path):
    weights = numpy.arange(12.0).reshape(3, 4)
    # The same memory, but not the same array.
    others = {"transposed": weights.T, "rows": weights[:2], "bits": weights.view("int64"), "turned": weights[::-1]}
    with CheckpointManager(tmp_path) as manager:
        saved = manager.save(1, {"embed": weights, "head": weights, "more": [weights, weights[:]]}, {"w": weights})
        weights += 1
        saved.wait(60)
        manager.save(2, {"embed": weights, **others}).wait(60)
    size = weights.nbytes
    # The second save needed more: one block for each array, but for the first one.
    assert manager._native.reserved_bytes == size + sum(other.nbytes for other in others.values())
    loaded = manager.load(1)
    for found in (*(loaded["model_state"][name] for name in ("embed", "head")), *loaded["model_state"]["more"]):
        assert (found == weights - 1).all()
    assert (loaded["optimizer_state"]["w"] == weights - 1).all()
    loaded = manager.load(2)["model_state"]
    for name, other in others.items():
        assert loaded[name].dtype == other.dtype and (loaded[name] == other).all(), name


def test_reserved_memory_is_that_of_the_saves(tmp_path):
    tree = {"w": numpy.ones((100, 100)), "tied": numpy.ones(7)}
    tree["also"] = tree["tied"]
    with CheckpointManager(tmp_path) as manager:
        manager.reserve(tree, {"m": b"123"}, wait=True)
        assert manager._native.reserved_bytes == 80_000 + 56 + 3
        manager.save(1, tree, {"m": b"123"}).wait(60)
        manager.reserve(tree)
        with pytest.raises(StateError, match="model.w"):
            manager.reserve({"w": object()})
    with pytest.raises(ValueError, match="give the part another name"):
        manager.reserve(tree, parts={"model": {}})


def test_a_hundred_saves_use_the_memory_of_the_first(tmp_path):
    tree = {f"w{n}": numpy.ones(10_000 + n) for n in range(10)}
    size = sum(array.nbytes for array in tree.values())
    with CheckpointManager(tmp_path, keep_last=2) as manager:
        for epoch in range(100):
            manager.save(epoch, tree).wait(60)
    assert manager._native.reserved_bytes <= 2 * size


def test_what_nothing_can_change_is_not_copied(tmp_path):
    text = os.urandom(1 << 20)
    numbers = numpy.frombuffer(text, "uint32")
    owned = numpy.ones(1 << 18, "float32")
    fixed = owned[:]  # cannot be written to, but its memory can
    fixed.flags.writeable = False
    state = {
        "text": text,
        "numbers": numbers.reshape(2, -1)[1:],
        "also": memoryview(text),
        "every second": numbers[::2],
        "fixed": fixed,
    }
    expected = {name: numpy.array(value) for name, value in state.items() if name != "text"}
    before = sys.getrefcount(text)
    with CheckpointManager(tmp_path) as manager:
        ticket = manager.save(1, state)
        owned += 1
        assert ticket.wait(60).kind == "saved"
        # The copies.
        assert manager._native.reserved_bytes == numbers[::2].nbytes + fixed.nbytes
        loaded = manager.load(1)["model_state"]
        assert loaded["text"] == text
        for name, array in expected.items():
            assert (loaded[name] == array).all(), name
        for epoch in range(2, 20):
            manager.save(epoch, {"text": text}, {"numbers": numbers})
    assert sys.getrefcount(text) == before, "nothing holds it anymore"


class Held:
    """An array that is not read until it is let go."""

    def __init__(self, array):
        self.array = array
        self.walks, self.go = threading.Event(), threading.Event()

    @property
    def __array_interface__(self):
        self.walks.set()
        assert self.go.wait(60)
        return self.array.__array_interface__


def test_a_staged_save_returns_before_the_state_is_copied(tmp_path):
    array = numpy.arange(5.0)
    held = Held(array)
    with CheckpointManager(tmp_path) as manager:
        ticket = manager.save(1, {"w": held}, metadata={"n": 1}, snapshot="staged")
        assert held.walks.wait(60) and not ticket.done and ticket.epoch == 1 and manager.pending == 1
        assert "being copied" in repr(ticket) and ticket.outcome is None
        for call in (ticket.staged, ticket.wait):
            with pytest.raises(TimeoutError):
                call(0)
        # It takes its turn.
        second = manager.save(2, {"w": numpy.ones(2)}, snapshot="staged")
        held.go.set()
        ticket.staged()
        array += 1
        assert second.wait(60).save_seq > ticket.wait(60).save_seq
    assert manager.load(1)["model_state"]["w"].tolist() == [0, 1, 2, 3, 4]
    assert manager.list_checkpoints() == [1, 2]


def test_the_error_of_a_staged_save_is_raised_once_by_who_asks_or_by_the_next_save(tmp_path):
    bad = {"w": object()}
    manager = CheckpointManager(tmp_path)
    for ask in ("staged", "wait"):
        ticket = manager.save(1, bad, snapshot="staged")
        with pytest.raises(StateError, match="model.w"):
            getattr(ticket, ask)(60)
        assert ticket.done and "failed" in repr(ticket)
    manager.save(2, state(2)).wait(60)
    manager.save(3, bad, snapshot="staged")
    with pytest.raises(StateError, match="model.w"):
        manager.save(4, state(4))
    manager.save(5, bad, snapshot="staged")
    with pytest.raises(StateError, match="model.w"):
        manager.close()
    assert manager.list_checkpoints() == [2]
    with pytest.raises(ValueError, match='choose "copy"'):
        manager.save(6, state(6), snapshot="lazy")


def test_a_close_keeps_its_limit_while_a_state_is_copied(tmp_path):
    held = Held(numpy.arange(3.0))
    manager = CheckpointManager(tmp_path)
    ticket = manager.save(1, {"w": held}, snapshot="staged")
    assert held.walks.wait(60)
    with pytest.raises(TimeoutError, match="the state of 1 was not copied within 0.01 s; the copy goes on"):
        manager.close(0.01)
    with pytest.raises(TimeoutError, match="not copied within 0 s"):
        ticket.settle(0)
    for call in (manager.close, ticket.wait, ticket.staged, ticket.settle):
        for limit in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout is"):
                call(limit)
    held.go.set()
    # It was not closed: what is being copied is saved. A limit may be longer than a wait of Python.
    manager.close(1e300)
    assert manager.list_checkpoints() == [1] and ticket.wait(1e300).kind == "saved"


class Watched(threading.Event):
    """Lets an array go when the main thread waits for this."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def wait(self, timeout=None):
        if threading.current_thread() is threading.main_thread():
            self.held.go.set()
        return super().wait(timeout)


def test_no_more_than_two_staged_states_are_held(tmp_path):
    held = Held(numpy.arange(3.0))
    with CheckpointManager(tmp_path, keep_last=0) as manager:
        first = manager.save(1, {"w": held}, snapshot="staged")
        assert held.walks.wait(60)
        first._is_staged = Watched(held)
        second = manager.save(2, {}, snapshot="staged")
        assert not held.go.is_set() and not second.done, "one is copied, and one waits"
        try:
            third = manager.save(3, {}, snapshot="staged")
            assert held.go.is_set(), "this one waited for the first"
        finally:
            held.go.set()
        assert [each.wait(60).save_seq for each in (first, second, third)] == [1, 2, 3]
        # What is done holds no other one.
        assert third._before is None


def test_a_staged_save_is_awaited_in_asyncio(tmp_path):
    held = Held(numpy.arange(3.0))

    async def train(manager):
        ticket = manager.save(1, {"w": held}, snapshot="staged")
        waiting = asyncio.create_task(ticket)
        await asyncio.to_thread(held.walks.wait, 60)
        assert not waiting.done()
        held.go.set()
        assert (await waiting).kind == "saved"
        with pytest.raises(StateError):
            await manager.save(2, {"w": object()}, snapshot="staged")

    with CheckpointManager(tmp_path) as manager:
        asyncio.run(train(manager))
    assert manager.list_checkpoints() == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_load_has_each_tensor_once_in_memory(run_script, tmp_path):
    """What was loaded becomes the array of the caller as it is. A copy would need the same memory again."""
    script = """
        import sys
        import numpy, qstore

        def memory(name):
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024

        how, path, size = sys.argv[1], sys.argv[2], 1 << 27
        if how == "save":
            with qstore.CheckpointManager(path, compression="none") as manager:
                manager.save(1, {"w": numpy.full(size, 7, "uint8")}).wait()
        else:
            checkpoints = qstore.Checkpoints(path)
            before = memory("VmRSS:")
            loaded = checkpoints.load(1)["model_state"]["w"]
            assert loaded.nbytes == size and loaded[-1] == 7 and loaded.flags.writeable
            assert memory("VmHWM:") - before < 1.5 * size, (memory("VmHWM:") - before) / size
    """
    for how in ("save", "load"):
        run_script(script, how, tmp_path / "checkpoints")
