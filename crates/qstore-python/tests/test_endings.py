"""How a process ends, and what is in the file then."""

import os
import signal
import subprocess
import sys
import time

import pandas
import pytest

import qstore

LOG_FIFTY = """
    import os, sys, gc, threading, time, builtins
    from qstore import AsyncMetricsLogger
    logger = AsyncMetricsLogger(sys.argv[1])
    for step in range(50):
        assert logger.log_step(0, step, 0.5)
"""

ENDINGS = {
    "the end of the script": "",
    "sys.exit": "sys.exit(0)",
    "kept in builtins": "builtins.kept = logger",
    "kept by a cycle, without the collector": "gc.disable(); cycle = [logger]; cycle.append(cycle); del logger, cycle",
    "a thread that is no daemon goes on": (
        "threading.Thread(target=lambda: (time.sleep(0.2), logger.log_step(0, 50, 0.5))).start()"
    ),
    "a daemon thread that never ends": (
        "threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()"
    ),
    "a child of a fork that ends by sys.exit": """
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_row_is_lost_at(ending, run_script, metrics):
    import textwrap

    started = time.monotonic()
    run_script(textwrap.dedent(LOG_FIFTY) + textwrap.dedent(ENDINGS[ending]), metrics)
    assert time.monotonic() - started < 30
    steps = pandas.read_parquet(metrics)["step"].tolist()
    assert steps[:50] == list(range(50)), ending
    assert len(steps) == (51 if "goes on" in ending else 50)


def test_an_exception_loses_no_row(run_script, metrics):
    done = run_script(LOG_FIFTY + "\n    raise RuntimeError('on purpose')", metrics, check=False)
    assert done.returncode == 1 and "on purpose" in done.stderr
    assert len(pandas.read_parquet(metrics)) == 50


def test_a_logger_that_is_forgotten_is_stopped_with_a_warning(metrics):
    from qstore import AsyncMetricsLogger

    logger = AsyncMetricsLogger(metrics)
    logger.log_step(0, 0, 0.5)
    with pytest.warns(ResourceWarning, match="was not stopped"):
        del logger
    assert len(pandas.read_parquet(metrics)) == 1


def test_a_forked_child_is_told_and_its_parent_loses_nothing(run_script, metrics):
    script = """
        import os, sys, time, warnings
        import qstore
        logger = qstore.AsyncMetricsLogger(sys.argv[1])
        logger.log_step(0, 0, 0.5)
        pid = os.fork()
        if pid == 0:
            started = time.monotonic()
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                logged = [logger.log_step(0, step, 0.5) for step in range(3)]
            assert [one.outcome for one in logged] == ["forked"] * 3 and not any(logged)
            assert len(warned) == 1 and "forked" in str(warned[0].message)
            for call in (logger.stop, logger.flush, logger.stats, logger.health):
                try:
                    call()
                except qstore.ForkedError:
                    continue
                os._exit(2)
            assert "parent" in repr(logger)
            own = qstore.AsyncMetricsLogger(sys.argv[1] + ".child")
            own.log_step(0, 7, 0.5)
            own.stop()
            del logger
            os._exit(0 if time.monotonic() - started < 5 else 3)
        assert os.waitpid(pid, 0)[1] == 0
        logger.log_step(0, 1, 0.5)
        logger.stop()
    """
    run_script(script, metrics)
    assert pandas.read_parquet(metrics)["step"].tolist() == [0, 1]
    assert pandas.read_parquet(f"{metrics}.child")["step"].tolist() == [7]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_of_multiprocessing_keeps_its_own_rows(run_script, metrics, method):
    script = """
        import multiprocessing, sys
        import qstore

        def work(path):
            logger = qstore.AsyncMetricsLogger(path)
            for step in range(10):
                logger.log_step(0, step, 0.5)
            # Never stopped: the end of the worker does it.
            work.kept = logger

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[2])
            workers = [context.Process(target=work, args=[f"{sys.argv[1]}.{n}"]) for n in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
                assert worker.exitcode == 0
    """
    metrics.parent.mkdir()
    run_script(script, metrics, method)
    for number in range(2):
        assert len(pandas.read_parquet(f"{metrics}.{number}")) == 10


@pytest.mark.parametrize("wait", ["buffer.pop()", "buffer.pop(timeout=60)", "buffer.pop_many(5)"])
def test_ctrl_c_arrives_in_a_wait(wait, tmp_path):
    script = f"""
import signal, time
from qstore import AsyncBuffer
# What runs in the background of a shell ignores it, and its children do.
signal.signal(signal.SIGINT, signal.default_int_handler)
buffer = AsyncBuffer(1)
try:
    print("ready", flush=True)
    {wait}
except KeyboardInterrupt:
    print(time.time(), flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        sent = time.time()
        child.send_signal(signal.SIGINT)
        try:
            out, _ = child.communicate(timeout=30)
        finally:
            child.kill()
    # A signal that is sent before the wait has begun arrives at its begin.
    assert float(out) - sent < 10


@pytest.mark.parametrize("read", ["load(1, tensors=convert)", "load_latest(tensors=convert)"])
def test_ctrl_c_arrives_in_a_load(read, run_script, tmp_path):
    import numpy

    with qstore.CheckpointManager(tmp_path, compression="gzip", compression_level=1, workers=1) as manager:
        manager.save(1, {"w": numpy.arange(8_000_000)}).wait(60)
    script = f"""
    import os, signal, sys, threading, traceback
    from qstore import CheckpointManager
    signal.signal(signal.SIGINT, signal.default_int_handler)
    manager = CheckpointManager(sys.argv[1], workers=1)
    # The other thread runs as soon as this one lets it, which is inside of the load.
    sys.setswitchinterval(1000)
    loads = threading.Event()
    threading.Thread(target=lambda: loads.wait() and os.kill(os.getpid(), signal.SIGINT)).start()
    def convert(tensor):
        return tensor
    try:
        loads.set()
        manager.{read}
    except KeyboardInterrupt as error:
        print(traceback.extract_tb(error.__traceback__)[-1].name)
    """
    # An interrupt that waits until all is read is raised by the next function in Python, which is `convert`.
    assert run_script(script, tmp_path).stdout.strip() == read.partition("(")[0]


SIGNALS = """
import os, signal, sys
from qstore import AsyncMetricsLogger
from qstore.signals import StopSignal
with StopSignal({signals}) as stop, AsyncMetricsLogger(sys.argv[1]) as logger:
    assert not stop
    for step in range(1000):
        if stop:
            break
        logger.log_step(0, step, 0.5)
        if step == 5:
            os.kill(os.getpid(), signal.{sent})
    assert stop and stop.signal == signal.{sent} and "{sent}" in repr(stop), stop
{then}
"""


@pytest.mark.parametrize(("signals", "sent"), [("", "SIGTERM"), ("signal.SIGINT, signal.SIGTERM", "SIGINT")])
def test_a_signal_ends_a_loop_at_a_good_place(signals, sent, run_script, metrics):
    run_script(SIGNALS.format(signals=signals, sent=sent, then=""), metrics)
    assert pandas.read_parquet(metrics)["step"].tolist() == list(range(6))


def test_a_second_signal_does_what_it_did_before(run_script, metrics):
    then = "    os.kill(os.getpid(), signal.SIGTERM)\n    signal.pause()"
    done = run_script(SIGNALS.format(signals="", sent="SIGTERM", then=then), metrics, check=False)
    assert done.returncode == -signal.SIGTERM


def test_handlers_are_restored():
    from qstore.signals import StopSignal

    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("wrong", [99_999, "not a number"])
def test_handlers_are_restored_if_one_cannot_be_installed(wrong):
    from qstore.signals import StopSignal

    before = signal.getsignal(signal.SIGTERM)
    stop = StopSignal(signal.SIGTERM, wrong)
    try:
        with pytest.raises((ValueError, TypeError)), stop:
            pass
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_call_while_the_interpreter_ends_raises(run_script, metrics):
    script = """
        import os, sys
        import qstore
        logger = qstore.AsyncMetricsLogger(sys.argv[1])
        class Late:
            def __init__(self):
                # The modules are cleared when it is called.
                self.log, self.write, self.errors = logger.log_step, os.write, (RuntimeError, qstore.StoppedError)
            def __del__(self):
                try:
                    self.log(0, 1, 0.5)
                except self.errors:
                    self.write(1, b"raised")
        sys.late = Late()
    """
    assert run_script(script, metrics).stdout == "raised"


def test_a_kill_loses_nothing_that_was_flushed(metrics):
    script = """
import sys
from qstore import AsyncMetricsLogger
logger = AsyncMetricsLogger(sys.argv[1], flush_interval=10)
for step in range(10_000_000):
    logger.log_step(0, step, 0.5)
    if step % 100 == 99:
        logger.flush(30)
        print(step + 1, flush=True)
"""
    command = [sys.executable, "-c", script, str(metrics)]
    flushed = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            flushed = int(line)
            if flushed >= 500:
                child.kill()
                break
    steps = pandas.read_parquet(metrics)["step"].tolist()
    assert len(steps) >= flushed and steps == list(range(len(steps)))


SAVE_TWO = """
    import os, sys
    import numpy, qstore
    manager = qstore.CheckpointManager(sys.argv[1])
    for epoch in range(2):
        manager.save(epoch, {"w": numpy.random.default_rng(1).random(2_000_000)})
"""


def test_a_staged_save_is_not_lost_at_the_end_of_a_process(run_script, tmp_path):
    run_script(
        """
        import sys, numpy, qstore
        manager = qstore.CheckpointManager(sys.argv[1])
        for epoch in range(3):
            manager.save(epoch, {"w": numpy.full(1_000_000, epoch)}, snapshot="staged")
        """,
        tmp_path / "c",
    )
    with qstore.CheckpointManager(tmp_path / "c") as manager:
        assert manager.list_checkpoints() == [0, 1, 2]
        assert (manager.load(2)["model_state"]["w"] == 2).all()


def test_a_forked_child_does_not_wait_for_a_copy_of_its_parent(run_script, tmp_path):
    run_script(
        """
        import os, sys, threading, qstore
        walks, go = threading.Event(), threading.Event()
        class Held:
            @property
            def __array_interface__(self):
                walks.set()
                go.wait()
                raise AttributeError
        manager = qstore.CheckpointManager(sys.argv[1])
        ticket = manager.save(1, {"w": Held()}, snapshot="staged")
        walks.wait()
        pid = os.fork()
        if pid == 0:
            for call in (ticket.staged, ticket.wait, lambda: manager.save(2, {}), manager.close):
                try:
                    call()
                except qstore.ForkedError:
                    continue
                os._exit(2)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        go.set()
        try:
            ticket.staged(60)
        except qstore.StateError as error:
            assert error.path == "model.w"
        """,
        tmp_path / "c",
    )


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit(0)", "raise RuntimeError('on purpose')", "import gc; gc.disable(); cycle = [manager]; cycle.append(cycle)"],
)
def test_no_save_is_lost_at_the_end_of_a_process(ending, run_script, tmp_path):
    run_script(SAVE_TWO + f"    {ending}", tmp_path / "c", check=not ending.startswith("raise"))
    with qstore.CheckpointManager(tmp_path / "c") as manager:
        assert manager.list_checkpoints() == [0, 1]
        assert manager.load(1)["model_state"]["w"].shape == (2_000_000,)


def test_a_forked_child_cannot_save_and_its_parent_loses_nothing(run_script, tmp_path):
    script = """
        import asyncio, os, sys
        import numpy, qstore
        manager = qstore.CheckpointManager(sys.argv[1])
        ticket = manager.save(0, {"w": numpy.random.default_rng(1).random(5_000_000)})
        pid = os.fork()
        if pid == 0:
            for call in (
                lambda: manager.save(1, {}),
                lambda: ticket.wait(),
                lambda: asyncio.run(ticket),
                lambda: manager.close(),
                lambda: manager.health(),
            ):
                try:
                    call()
                except qstore.ForkedError:
                    continue
                os._exit(2)
            assert ticket.done and "parent" in repr(manager) and manager.pending == 0
            # Reading needs no thread, and a manager of its own can save.
            manager.list_checkpoints()
            with qstore.CheckpointManager(sys.argv[1]) as own:
                own.save(7, {"own": 1})
            del manager, ticket
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert ticket.wait(60)
        assert manager.list_checkpoints() == [0, 7]
    """
    run_script(script, tmp_path / "c")


def test_ctrl_c_arrives_while_a_save_waits_for_room(tmp_path):
    script = """
import fcntl, os, signal, sys
import qstore
signal.signal(signal.SIGINT, signal.default_int_handler)
manager = qstore.CheckpointManager(sys.argv[1])
with open(os.path.join(sys.argv[1], ".qstore.lock"), "a+b") as lock:
    # No save is published meanwhile, so one runs and one waits, and there is no room for another.
    fcntl.flock(lock, fcntl.LOCK_EX)
    manager.save(1, {})
    manager.save(2, {})
    try:
        print("ready", flush=True)
        manager.save(3, {})
    except KeyboardInterrupt:
        assert manager.pending == 2
        print("interrupted", flush=True)
manager.close()
assert manager.list_checkpoints() == [1, 2]
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "interrupted\n"
            assert child.wait(30) == 0
        finally:
            child.kill()


def test_a_kill_leaves_only_whole_checkpoints(tmp_path):
    script = """
import sys
import numpy, qstore
manager = qstore.CheckpointManager(sys.argv[1], keep_last=0, compression="none")
for epoch in range(10_000):
    ticket = manager.save(epoch, {"w": numpy.full(200_000, epoch)})
    if epoch % 5 == 4:
        ticket.wait()
        print(epoch, flush=True)
"""
    durable = -1
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            durable = int(line)
            if durable >= 20:
                child.kill()
                break
    with qstore.CheckpointManager(tmp_path, keep_last=0) as manager:
        epochs = manager.list_checkpoints()
        assert epochs == list(range(len(epochs))) and len(epochs) > durable
        for epoch in epochs:
            assert (manager.load(epoch)["model_state"]["w"] == epoch).all()


LEAKS = """
import os, sys
import qstore

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

rows, saves = int(sys.argv[2]), int(sys.argv[3])
logger = qstore.AsyncMetricsLogger(sys.argv[1] + "/m.parquet", flush_interval=10_000)
manager = qstore.CheckpointManager(sys.argv[1] + "/c", keep_last=1, compression="none")
state = {"w": bytes(100_000), "tree": [(n, float(n), str(n)) for n in range(100)]}

def log(count):
    for step in range(count):
        logger.log_step(epoch=0, step=step, train_loss=0.5, backend="a text that is too long to be inline", accuracy=0.9,
                        **{f"layer_{step % 5}": step})
        if step % 5_000 == 0:
            logger.flush(60)
    logger.flush(60)

def save(count):
    for epoch in range(count):
        manager.save(epoch, state, metadata={"loss": 0.5}).wait(60)
        manager.load(epoch, tensors="qstore")

def grown(work, count):
    # The least of three parts: a leak grows in each of them, and what an allocator keeps does not.
    work(count)
    growth = []
    for _ in range(3):
        before = resident()
        work(count // 3)
        growth.append(resident() - before)
    return min(growth)

print(grown(log, rows), grown(save, saves))
logger.stop()
manager.close()
"""


def test_nothing_leaks(run_script, tmp_path):
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not tell the memory of a process")
    # QSTORE_LEAKS=1000000,1000 takes a minute. A leak of 50 bytes for each row, or of a state, is found by these numbers.
    # The allocator keeps up to 20 MB of what the first row groups needed: so as many rows are logged before, and the least
    # growth of three parts counts.
    rows, saves = (int(count) for count in os.environ.get("QSTORE_LEAKS", "300000,100").split(","))
    logging, saving = map(int, run_script(LEAKS, tmp_path, rows, saves, timeout=1800).stdout.split())
    assert logging < 10 * rows and saving < 5_000 * saves
