"""Arrays of torch and jax, where they are installed; the environment of the other tests has neither."""

import collections

import numpy
import pytest

from qstore import CheckpointManager, StateError


@pytest.fixture
def manager(tmp_path):
    with CheckpointManager(tmp_path) as manager:
        yield manager


def test_tensors_of_torch_come_back_as_they_were(manager):
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "float32": base,
        "parameter": torch.nn.Parameter(base + 0.5),
        "transposed": base.T,
        "sliced": base[::2, 1:3],
        "expanded": torch.ones(3, 1).expand(3, 4),
        "float16": base.half(),
        "bfloat16": base.bfloat16().T,
        "int64": torch.arange(5),
        "bool": base > 3,
        "complex": torch.complex(base, base),
        "conjugate": torch.complex(base, base).conj(),
        "0-d": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    manager.save(1, state).wait(60)
    loaded = manager.load(1, tensors="torch")["model_state"]
    for name, tensor in state.items():
        expected = tensor.detach().resolve_conj()
        assert (loaded[name].dtype, loaded[name].shape) == (expected.dtype, expected.shape), name
        assert torch.equal(loaded[name], expected), name
    target = {name: torch.zeros_like(tensor.detach().contiguous()) for name, tensor in state.items()}
    filled = manager.load_into(1, target)["model_state"]
    for name, tensor in state.items():
        assert filled[name] is target[name] and torch.equal(target[name], tensor.detach().resolve_conj()), name


def test_views_that_torch_computes_when_they_are_read_are_filled_too(manager):
    torch = pytest.importorskip("torch")
    saved = torch.complex(torch.arange(3.0), torch.arange(3.0) + 1)
    manager.save(1, {"conjugate": saved, "negative": saved.conj().imag.clone()}).wait(60)
    base, other = torch.zeros(3, dtype=torch.complex64), torch.zeros(3, dtype=torch.complex64)
    targets = {"conjugate": base.conj(), "negative": other.conj().imag}
    assert targets["conjugate"].is_conj() and targets["negative"].is_neg()
    filled = manager.load_into(1, targets)["model_state"]
    assert filled["conjugate"] is targets["conjugate"] and torch.equal(base.conj().resolve_conj(), saved)
    assert torch.equal(targets["negative"].resolve_neg(), -saved.imag)


def test_tensors_of_torch_that_cannot_be_saved_are_refused_with_their_path(manager):
    torch = pytest.importorskip("torch")
    refused = {
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.zeros(3, device="meta"),
        "quantized": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged),
        "elements torch.bits8": torch.zeros(3, dtype=torch.uint8).view(torch.bits8),
        "pass its `state_dict\\(\\)`": torch.nn.Linear(1, 1),
    }
    for kind, tensor in refused.items():
        with pytest.raises(StateError, match=kind) as error:
            manager.save(1, {"layers": [tensor]})
        assert error.value.path == "model.layers.0"


def test_tensors_of_torch_need_no_numpy(run_script, tmp_path):
    pytest.importorskip("torch")
    script = """
        import sys, warnings
        sys.modules["numpy"] = None  # as if it were not installed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that there is none
            import torch
        import qstore
        model = torch.nn.Linear(3, 2)
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(3)).sum().backward()
        optimizer.step()
        kinds = ("bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64 "
            "complex128").split()
        state = {kind: torch.arange(6).reshape(2, 3).t().to(getattr(torch, kind)) for kind in kinds}
        state |= {"none": torch.empty(0, 3), "one": torch.tensor(1.5), "model": model.state_dict()}
        with qstore.CheckpointManager(sys.argv[1]) as manager:
            manager.save(1, state, optimizer.state_dict()).wait()
            loaded = manager.load(1, tensors="torch")["model_state"]
            for name, tensor in state.items():
                if name != "model":
                    assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor), name
            again = torch.nn.Linear(3, 2)
            manager.load_into(1, {**state, "model": again.state_dict()})
            assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))
    """
    run_script(script, tmp_path / "checkpoints")


def test_a_distributed_tensor_is_not_taken_for_its_part_on_this_rank(manager, tmp_path):
    torch = pytest.importorskip("torch")
    distributed = pytest.importorskip("torch.distributed")
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        tensor = distribute_tensor(torch.arange(8.0).reshape(4, 2), init_device_mesh("cpu", (1,)), [Shard(0)])
        with pytest.raises(StateError, match="full_tensor"):
            manager.save(1, {"w": tensor})
        manager.save(1, {"w": tensor.full_tensor()}).wait()
        assert manager.load(1)["model_state"]["w"].shape == (4, 2)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "LBFGS"])
def test_a_run_of_torch_that_is_resumed_goes_on_bit_by_bit(manager, name):
    torch = pytest.importorskip("torch")

    def make():
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        return model, getattr(torch.optim, name)(model.parameters(), lr=0.01)

    def train(model, optimizer, steps):
        for step in range(steps):
            inputs = torch.linspace(-1, 1, 32).reshape(8, 4) + step

            def closure(inputs=inputs):
                optimizer.zero_grad()
                loss = model(inputs).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)

    model, optimizer = make()
    train(model, optimizer, 3)
    saved = manager.save(1, model.state_dict(), optimizer.state_dict())
    train(model, optimizer, 10)
    saved.wait(60)
    other, its_optimizer = make()
    manager.load_into(1, other.state_dict())
    its_optimizer.load_state_dict(manager.load(1, tensors="torch")["optimizer_state"])
    train(other, its_optimizer, 10)
    for one, another in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, another)


Optimizer = collections.namedtuple("Optimizer", "count mu")


def test_arrays_of_jax_are_not_copied_and_survive_being_donated(manager):
    jax = pytest.importorskip("jax")
    weights = jax.numpy.arange(1 << 18, dtype="float32")
    ticket = manager.save(1, {"w": weights, "b": jax.numpy.ones((256, 256), "bfloat16")})
    # The function may take the memory of its argument for its result.
    changed = jax.jit(lambda array: array + 1, donate_argnums=0)(weights)
    ticket.wait(60)
    assert manager._native.reserved_bytes == 0
    loaded = manager.load(1)["model_state"]
    assert (loaded["w"] == numpy.arange(1 << 18, dtype="float32")).all() and changed[0] == 1
    assert loaded["b"].dtype == "bfloat16" and (loaded["b"].astype("float32") == 1).all()


def test_arrays_of_jax_come_back_and_replace_those_that_cannot_be_written_to(manager):
    jax = pytest.importorskip("jax")
    weights = jax.numpy.arange(6.0).reshape(2, 3)
    state = {"w": weights, "b": weights.astype("bfloat16"), "key": jax.random.PRNGKey(7)}
    optimizer = (Optimizer(jax.numpy.array(3), {"w": weights * 2}), ())
    manager.save(1, state, optimizer).wait(60)
    loaded = manager.load(1)
    for name, expected in state.items():
        found = loaded["model_state"][name]
        assert isinstance(found, numpy.ndarray) and found.dtype == expected.dtype
        assert found.tobytes() == numpy.asarray(expected).tobytes()
    empty = (Optimizer(jax.numpy.array(0), {"w": jax.numpy.zeros((2, 3))}), ())
    filled = manager.load_into(1, {name: jax.numpy.zeros_like(each) for name, each in state.items()}, empty)
    assert type(filled["optimizer_state"][0]) is Optimizer and filled["optimizer_state"][0].count == 3
    assert isinstance(filled["model_state"]["w"], jax.Array)
    assert (filled["model_state"]["w"] == weights).all()
