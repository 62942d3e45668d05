"""What a call of our Python package costs the training thread, beside what Python programs call instead.

package.py SCRATCH SECONDS     everything but torch
package.py SCRATCH torch       tensors of torch, and torch.save

All contenders are called in turns, in one process. Each call is timed by itself; the clock is in every figure,
and `py_empty_call` is the clock alone. A line of the output is {"row": NAME, "samples": [...]} or
{"absent": WHO, "why": TEXT}. Rows are logged at 10 000 a second for SECONDS, while both processors are busy; 0
leaves that out.
"""

import asyncio
import json
import multiprocessing
import os
import queue
import subprocess
import sys
import time

from metrics_peers import SilentOutput, original_storage

TURNS = 15
CALLS = 2_000
RATE = 10_000
#: The state of 1 GiB, a copy to compare with, two snapshots, and a load.
NEEDED = 7 << 30

NAMES = (
    "epoch step timestamp train_loss val_loss grad_norm grad_max grad_min circuit_execution_time_ms circuits_executed "
    "qubits_used shots_per_circuit backend queue_time_ms cost_usd credits_used batch_time_ms throughput_samples_per_sec"
).split()


def values(n):
    return (
        1, n, 1.7e9 + n, 0.5 / (n + 1), 0.25, 1.5, 2.5, -2.5, 20.0, 40, 8, 1024, "simulator", 5.0, 0.01, 0.5, 30.0, 900.0,
    )  # fmt: skip


def timed_17(call, count):
    """Calls with all columns by name."""
    clock, took = time.perf_counter_ns, [0] * count
    for n in range(count):
        _, _, _, a, b, c, d, e, f, g, h, i, j, k, l, m, o, p = values(n)
        started = clock()
        call(
            epoch=1, step=n, train_loss=a, val_loss=b, grad_norm=c, grad_max=d, grad_min=e,
            circuit_execution_time_ms=f, circuits_executed=g, qubits_used=h, shots_per_circuit=i, backend=j,
            queue_time_ms=k, cost_usd=l, credits_used=m, batch_time_ms=o, throughput_samples_per_sec=p,
        )  # fmt: skip
        took[n] = clock() - started
    return took


class Ours:
    """`log_step` of one logger with default settings, called in three ways."""

    def __init__(self, home):
        import qstore

        self.logger = qstore.AsyncMetricsLogger(f"{home}/ours.parquet")
        self.calls = 0

    def all_17(self, count):
        self.calls += count
        return timed_17(self.logger.log_step, count)

    def all_17_four_by_position(self, count):
        clock, log_step, took = time.perf_counter_ns, self.logger.log_step, [0] * count
        for n in range(count):
            _, _, _, a, b, c, d, e, f, g, h, i, j, k, l, m, o, p = values(n)
            started = clock()
            log_step(
                1, n, a, c, val_loss=b, grad_max=d, grad_min=e, circuit_execution_time_ms=f, circuits_executed=g,
                qubits_used=h, shots_per_circuit=i, backend=j, queue_time_ms=k, cost_usd=l, credits_used=m,
                batch_time_ms=o, throughput_samples_per_sec=p,
            )  # fmt: skip
            took[n] = clock() - started
        self.calls += count
        return took

    def four(self, count):
        clock, log_step, took = time.perf_counter_ns, self.logger.log_step, [0] * count
        for n in range(count):
            loss = 0.5 / (n + 1)
            started = clock()
            log_step(epoch=1, step=n, train_loss=loss, grad_norm=1.5)
            took[n] = clock() - started
        self.calls += count
        return took

    def three_and_ten_names(self, count):
        clock, log_step, took = time.perf_counter_ns, self.logger.log_step, [0] * count
        for n in range(count):
            loss = 0.5 / (n + 1)
            started = clock()
            log_step(
                epoch=1, step=n, train_loss=loss, m0=loss, m1=1.5, m2=2.5, m3=3.5, m4=4.5, m5=5.5, m6=6.5, m7=7.5,
                m8=8.5, m9=9.5,
            )  # fmt: skip
            took[n] = clock() - started
        self.calls += count
        return took

    def finish(self):
        self.logger.stop()
        stats = self.logger.stats()
        kept, dropped = stats["writer"]["rows_written"], stats["buffer"]["dropped"]
        assert kept + dropped == self.calls, f"{self.calls} calls, {kept} rows, {dropped} dropped"


class Push:
    def __init__(self, put):
        self.put = put

    def push(self, count):
        clock, put, took = time.perf_counter_ns, self.put, [0] * count
        for n in range(count):
            started = clock()
            put(n)
            took[n] = clock() - started
        return took


def nothing(epoch, step, train_loss=None, grad_norm=None, **others):
    pass


def nothing_17(count):
    """A function that does nothing: what Python itself does for 17 names."""
    return timed_17(nothing, count)


def empty(count):
    clock, took = time.perf_counter_ns, [0] * count
    for n in range(count):
        started = clock()
        took[n] = clock() - started
    return took


class Csv:
    """csv.writer, flushed to the system at every step: a kill loses nothing."""

    def __init__(self, home):
        import csv

        self.file = open(f"{home}/steps.csv", "w", newline="")
        self.writer = csv.writer(self.file)

    def log(self, count):
        clock, write, flush, took = time.perf_counter_ns, self.writer.writerow, self.file.flush, [0] * count
        for n in range(count):
            row = values(n)
            started = clock()
            write(row)
            flush()
            took[n] = clock() - started
        return took

    def finish(self):
        self.file.close()


class Original:
    """`await log_step` of the package that this project follows, with its default buffer."""

    def __init__(self, home):
        self.logger = original_storage().AsyncMetricsLogger(f"{home}/original.parquet")

    def log(self, count):
        async def steps():
            clock, log_step, took = time.perf_counter_ns, self.logger.log_step, [0] * count
            rows = [dict(zip(NAMES, values(n))) for n in range(count)]
            for row in rows:
                del row["timestamp"]
            for n, row in enumerate(rows):
                started = clock()
                await log_step(**row)
                took[n] = clock() - started
            return took

        # It prints what it drops.
        with SilentOutput():
            return asyncio.run(steps())

    def finish(self):
        with SilentOutput():
            self.logger.stop()


class Expman:
    """`log_vector` of a dictionary: a package in Rust that writes Parquet, too."""

    def __init__(self, home):
        from expman import Experiment

        self.experiment = Experiment("bench", base_dir=home, redirect_console=False)
        self.experiment.__enter__()

    def log(self, count):
        clock, log_vector, took = time.perf_counter_ns, self.experiment.log_vector, [0] * count
        for n in range(count):
            row = dict(zip(NAMES, values(n)))
            started = clock()
            log_vector(row)
            took[n] = clock() - started
        return took

    def finish(self):
        self.experiment.__exit__(None, None, None)


def say(row, samples):
    print(json.dumps({"row": row, "samples": samples}), flush=True)


def race(contenders):
    """Median and 99th percentile of each turn, in microseconds."""
    medians, tails = {name: [] for name in contenders}, {name: [] for name in contenders}
    for turn in range(TURNS):
        for name, call in contenders.items():
            took = sorted(call(CALLS))
            # The first turn meets cold code.
            if turn > 0:
                medians[name].append(took[CALLS // 2] / 1e3)
                tails[name].append(took[CALLS * 99 // 100] / 1e3)
            # The threads behind the contenders do their work outside the next one's turn.
            time.sleep(0.05)
    for name in contenders:
        say(name, medians[name])
        say(f"{name}_p99", tails[name])


def log_steps(home):
    ours = Ours(home)
    contenders = {
        "py_log_step_17": ours.all_17,
        "py_log_step_17_four_by_position": ours.all_17_four_by_position,
        "py_log_step_4": ours.four,
        "py_log_step_3_plus_10_names": ours.three_and_ten_names,
        "py_nothing_17": nothing_17,
        "py_empty_call": empty,
    }
    others = [ours]
    for row, who, peer in [
        ("py_csv_flush_step", "csv", Csv),
        ("py_original_log_step", "q-store", Original),
        ("py_expman_log_vector", "expman-rs", Expman),
    ]:
        try:
            with SilentOutput():
                other = peer(home)
        except ImportError as error:
            print(json.dumps({"absent": who, "why": f"{error}"}), flush=True)
            continue
        others.append(other)
        contenders[row] = other.log
    race(contenders)
    for other in others:
        other.finish()


def pushes():
    import qstore

    size = TURNS * CALLS
    race({"py_push": Push(qstore.AsyncBuffer(size).push).push, "py_simple_queue_put": Push(queue.SimpleQueue().put).push})


def imports(home):
    """A new interpreter each time; what it imports besides is an error."""
    code = (
        "import time; started = time.perf_counter(); import qstore; took = time.perf_counter() - started; import sys; "
        "foreign = {'numpy', 'torch', 'pandas', 'jax'} & set(sys.modules); assert not foreign, foreign; print(took * 1e3)"
    )
    # As after an installation: the modules are compiled once, and kept.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = f"{home}/compiled"
    run = [sys.executable, "-c", code]
    took = [subprocess.run(run, check=True, capture_output=True, env=environment).stdout for _ in range(TURNS + 1)]
    say("py_import_ms", [float(one) for one in took[1:]])


def spin(end):
    while time.monotonic() < end:
        pass


def rows_kept(home, seconds):
    """The share of the rows that are in the file, logged at a steady rate beside a process that computes for each
    processor."""
    import qstore

    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=spin, args=(time.monotonic() + seconds,)) for _ in range(os.cpu_count())]
    for process in busy:
        process.start()
    logger = qstore.AsyncMetricsLogger(f"{home}/kept.parquet")
    started, steps = time.monotonic(), 0
    while (passed := time.monotonic() - started) < seconds:
        while steps < passed * RATE:
            logger.log_step(epoch=0, step=steps, train_loss=0.5, grad_norm=1.5, accuracy=0.9)
            steps += 1
        time.sleep(0.001)
    logger.stop()
    for process in busy:
        process.join()
    kept = logger.stats()["writer"]["rows_written"]
    say("py_rows_kept", [100.0 * kept / steps])


def available_memory():
    """In bytes; none where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":") for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def timed_ms(call):
    started = time.perf_counter_ns()
    result = call()
    return result, (time.perf_counter_ns() - started) / 1e6


def has_memory():
    """Whether there is room for a state of 1 GiB."""
    available = available_memory()
    if available is None or available >= NEEDED:
        return True
    why = f"{available >> 20} MiB of memory are available, and {NEEDED >> 20} are needed"
    print(json.dumps({"absent": "a state of 1 GiB", "why": why}), flush=True)
    return False


def manager_at(path):
    import qstore

    return qstore.CheckpointManager(path, keep_last=1, compression="none")


def per_tensor(home, row, many):
    """What each of many small arrays costs the caller."""
    with manager_at(f"{home}/many") as manager:
        took = []
        for epoch in range(6):
            ticket, ms = timed_ms(lambda: manager.save(epoch, many))
            ticket.wait()
            took.append(ms * 1e3 / len(many))
    say(row, took[1:])


def stalls(home, suffix, state, copy):
    """What a save costs the caller: one that copies, the first one, and one that is copied in a thread."""
    stall, copies, first, reserved, staged = [], [], [], [], []
    for _ in range(3):
        with manager_at(f"{home}/fresh") as manager:
            ticket, ms = timed_ms(lambda: manager.save(0, state))
            first.append(ms)
            ticket.wait()
        with manager_at(f"{home}/fresh") as manager:
            manager.reserve(state, wait=True)
            for epoch in range(3):
                ticket, ms = timed_ms(lambda: manager.save(epoch, state))
                (reserved if epoch == 0 else stall).append(ms)
                ticket.wait()
                copies.append(timed_ms(copy)[1])
            ticket, ms = timed_ms(lambda: manager.save(3, state, snapshot="staged"))
            staged.append(ms)
            ticket.wait()
    say("py_save_stall_ms_1gb" + suffix, stall)
    say("py_copyto_ms_1gb" + suffix, copies)
    say("py_save_first_ms_1gb" + suffix, first)
    say("py_save_first_reserved_ms_1gb" + suffix, reserved)
    say("py_save_staged_return_ms_64" + suffix, staged)


def pauses(home, state):
    """The longest pause of an event loop that does nothing else, while it awaits a save of 1 GiB."""

    async def longest(call):
        pause, is_done = 0.0, False

        async def tick():
            nonlocal pause
            last = time.perf_counter()
            while not is_done:
                await asyncio.sleep(0)
                now = time.perf_counter()
                pause, last = max(pause, now - last), now

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        await call()
        is_done = True
        await ticking
        return pause * 1e3

    with manager_at(f"{home}/pauses") as manager:
        manager.reserve(state, wait=True)

        async def save(**how):
            await manager.save(0, state, **how)

        calls = {
            "py_await_save_loop_pause_ms": lambda: save(snapshot="staged"),
            "py_await_save_copied_loop_pause_ms": save,
            "py_idle_loop_pause_ms": lambda: asyncio.sleep(0.3),
        }
        took = {row: [] for row in calls}
        for _ in range(5):
            for row, call in calls.items():
                took[row].append(asyncio.run(longest(call)))
    for row, samples in took.items():
        say(row, samples)


def sync(path):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def replaced(path, write):
    """Writes a file as one does whose file must survive a power cut."""
    write(path + ".tmp")
    sync(path + ".tmp")
    os.rename(path + ".tmp", path)
    sync(os.path.dirname(path))


def durably(home, suffix, states, contenders):
    """Until a checkpoint is durable, and until it is loaded with its file in the page cache; all contenders in turns."""
    for size, state in states.items():
        saved, loaded = {}, {}
        for turn in range(4):
            for name, (save, load) in contenders.items():
                path = f"{home}/{name}-{size}"
                _, took = timed_ms(lambda: save(path, state))
                _, back = timed_ms(lambda: load(path))
                # The first turn meets cold code and new memory.
                if turn > 0:
                    saved.setdefault(name, []).append(took / 1e3)
                    loaded.setdefault(name, []).append(back / 1e3)
        for name in contenders:
            say(f"{name.format('save_durable')}_s_{size}{suffix}", saved[name])
            say(f"{name.format('load')}_s_{size}{suffix}", loaded[name])


class Managed:
    """Our manager, open as long as the race goes on."""

    def __init__(self):
        self.managers = {}

    def save(self, path, state):
        if path not in self.managers:
            self.managers[path] = manager_at(path)
        self.managers[path].save(0, state).wait()

    def load(self, path):
        return self.managers[path].load(0)

    def close(self):
        for manager in self.managers.values():
            manager.close()


def peers_of_saves():
    """Those that are installed: how they save durably what numpy has, and how they load it."""
    found = {}
    try:
        import safetensors.numpy as safe

        found["py_safetensors_{}"] = (
            lambda path, state: replaced(path, lambda to: safe.save_file(state, to)),
            lambda path: safe.load_file(path),
        )
    except ImportError as error:
        print(json.dumps({"absent": "safetensors", "why": f"{error}"}), flush=True)
    try:
        import zarr

        def save_zarr(path, state):
            group = zarr.open_group(path, mode="w")
            for name, array in state.items():
                group.create_array(name, data=array, chunks=array.shape, compressors=None)

        def load_zarr(path):
            group = zarr.open_group(path, mode="r")
            return {name: array[...] for name, array in group.arrays()}

        found["py_zarr_{}"] = (save_zarr, load_zarr)
    except ImportError as error:
        print(json.dumps({"absent": "zarr", "why": f"{error}"}), flush=True)
    try:
        with SilentOutput():
            original = original_storage().CheckpointManager

        def save_original(path, state):
            with SilentOutput():
                asyncio.run(original(path, keep_last=1).save(0, state))

        def load_original(path):
            with SilentOutput():
                return asyncio.run(original(path).load(0))

        found["py_original_{}"] = (save_original, load_original)
    except ImportError as error:
        print(json.dumps({"absent": "q-store", "why": f"{error}"}), flush=True)
    return found


def saves(home):
    """States of numpy: 1 GiB in 64 arrays, 100 MiB in 25, and 10 000 small ones."""
    try:
        import numpy
    except ImportError as error:
        print(json.dumps({"absent": "numpy", "why": f"{error}"}), flush=True)
        return

    per_tensor(home, "py_save_per_tensor_us", {f"w{n}": numpy.full(256, n, "float32") for n in range(10_000)})
    if not has_memory():
        return
    rng = numpy.random.default_rng(1)
    state = {f"w{n}": rng.random(1 << 22, "float32") for n in range(64)}
    used = {name: numpy.zeros_like(array) + 1 for name, array in state.items()}

    def copy():
        for name, array in state.items():
            numpy.copyto(used[name], array)

    stalls(home, "", state, copy)
    pauses(home, state)
    del used
    small = {f"w{n}": rng.random(1 << 20, "float32") for n in range(25)}
    ours = Managed()
    contenders = {"py_{}": (ours.save, ours.load), **peers_of_saves()}
    durably(home, "", {"100mb": small, "1gb": state}, contenders)
    ours.close()


def saves_of_torch(home):
    """The same of torch, with or without numpy."""
    import torch

    many = {f"w{n}": torch.full((256,), float(n)) for n in range(10_000)}
    per_tensor(home, "py_save_per_tensor_us_torch", many)
    if not has_memory():
        return
    state = {f"w{n}": torch.rand(1 << 22) for n in range(64)}
    used = {name: torch.ones_like(tensor) for name, tensor in state.items()}

    def copy():
        for name, tensor in state.items():
            used[name].copy_(tensor)

    # One thread, as a save has.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    stalls(home, "_torch", state, copy)
    torch.set_num_threads(threads)
    del used
    small = {f"w{n}": torch.rand(1 << 20) for n in range(25)}
    ours = Managed()
    contenders = {
        "py_{}": (ours.save, ours.load),
        "py_torch_{}": (
            lambda path, state: replaced(path, lambda to: torch.save(state, to)),
            lambda path: torch.load(path, weights_only=True),
        ),
    }
    durably(home, "_torch", {"100mb": small, "1gb": state}, contenders)
    ours.close()


def main():
    home = sys.argv[1]
    if sys.argv[2] == "torch":
        saves_of_torch(home)
        return
    seconds = float(sys.argv[2])
    log_steps(home)
    pushes()
    imports(home)
    saves(home)
    if seconds:
        rows_kept(home, seconds)


if __name__ == "__main__":
    main()
