"""What goes into a checkpoint comes out of it, and what cannot is refused with its path."""

import array
import collections
import ctypes
import math
import struct

import numpy
import pytest
from hypothesis import HealthCheck, given, settings, strategies

import qstore
from qstore import CheckpointManager, StateError

ml_dtypes = pytest.importorskip("ml_dtypes")

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
    ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    with CheckpointManager(tmp_path_factory.mktemp("checkpoints"), keep_last=1, compression="lz4") as manager:
        yield manager


def round_trip(manager, state, **how):
    assert manager.save(1, state).wait(60)
    return manager.load(1, **how)["model_state"]


def elements(dtype, count):
    """Irregular bytes, as elements of a type."""
    dtype = numpy.dtype(dtype)
    if dtype == bool:
        return numpy.arange(count) % 3 == 0
    raw = (numpy.arange(count * dtype.itemsize, dtype="uint32") * 37 + 11).astype("uint8")
    return raw.view(dtype)


def same(one, other):
    """Equal in kind, order, and every bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, numpy.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    return one == other


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: numpy.dtype(dtype).name)
def test_arrays_of_every_type_shape_and_stride(manager, dtype):
    cube = elements(dtype, 3 * 4 * 6).reshape(3, 4, 6)
    state = {
        "cube": cube,
        "transposed": cube.T,
        "fortran": numpy.asfortranarray(cube[0]),
        "swapped axes": cube.swapaxes(0, 1),
        "every second": cube[:, ::2, ::3],
        "backwards": cube[::-1, :, ::-1],
        "a column": cube[:, 1, 2],
        "repeated": numpy.broadcast_to(cube[0, 0], (5, 6)),
        "one element": cube[:1, :1, :1],
        "0-d": cube[1, 2, 3:4].reshape(()),
        "empty": cube[:, :0],
        "read-only": numpy.frombuffer(cube.tobytes(), cube.dtype),
        "a row of a transposed one": cube.T[2, 1],
        "unaligned": numpy.frombuffer(b"\0" + cube.tobytes(), numpy.dtype(dtype), offset=1),
    }
    loaded = round_trip(manager, state)
    for name, array_of in state.items():
        assert same(loaded[name], numpy.ascontiguousarray(array_of).reshape(array_of.shape)), name
        assert loaded[name].flags.writeable and loaded[name].flags.c_contiguous, name


@pytest.mark.parametrize("dtype", [">i2", ">u4", ">f4", ">f8", ">c8", ">c16"])
def test_the_other_byte_order_is_a_matter_of_memory_only(manager, dtype):
    given_ = elements(dtype[1:], 12).reshape(3, 4).astype(dtype)
    with numpy.errstate(invalid="ignore"):
        loaded = round_trip(manager, [given_, given_[::2, ::-1]])
    assert [each.dtype for each in loaded] == [numpy.dtype(dtype[1:])] * 2
    assert loaded[0].tobytes() == given_.byteswap().tobytes()
    assert loaded[1].tobytes() == given_[::2, ::-1].byteswap().tobytes()


Pair = collections.namedtuple("Pair", "first second")

KINDS = {
    "none": None,
    "flags": [True, False],
    "integers": [0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**128 + 7, -(10**5000)],
    "floats": [0.1, -0.0, math.inf, -math.inf, struct.unpack("<d", struct.pack("<Q", 0x7FF8DEADBEEF0001))[0]],
    "complex": [1 + 2j, complex(-0.0, math.nan)],
    "texts": ["", "größe \0 \U0001f980"],
    "bytes": [b"", b"\0\xff", bytes(range(256)) * 9],
    "tuples": ((), (1,), ([], {}, ((),))),
    "keys": {"a": 1, 0: 2, "0": 3, -1: 4, "a/b": 5, "..": 6},
    "an order": {"z": 1, "a": 2, "m": 3},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["file", "directory"])
def test_every_kind_of_value_comes_back_as_it_was(tmp_path, kind, layout):
    for compression in ("zstd", "none"):
        with CheckpointManager(tmp_path / compression, compression=compression, layout=layout) as manager:
            assert same(round_trip(manager, {"value": KINDS[kind]}), {"value": KINDS[kind]})


@pytest.mark.parametrize(
    "state", [(1, [2.5]), [], None, 7, "text", {"qstore.tree": 1}, {"qstore.tree": {"qstore.tree": ()}}, {}]
)
def test_a_part_may_be_any_tree(manager, state):
    assert same(round_trip(manager, state), state)


def test_subclasses_come_back_as_what_they_are_based_on(manager):
    given_ = {
        "named": Pair(1, Pair(2, 3)),
        "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(list, x=[1]),
        "mapping": collections.ChainMap({"x": 1}),
        "float": numpy.float64(0.5),
        "bytearray": bytearray(b"ab"),
    }
    expected = {
        "named": (1, (2, 3)),
        "ordered": {"b": 1, "a": 2},
        "default": {"x": [1]},
        "mapping": {"x": 1},
        "float": 0.5,
        "bytearray": b"ab",
    }
    assert same(round_trip(manager, given_), expected)


def test_anything_with_a_buffer_is_an_array(manager):
    matrix = (ctypes.c_double * 3 * 2)((1, 2, 3), (4, 5, 6))
    loaded = round_trip(
        manager,
        {
            "array": array.array("h", [1, -2]),
            "view": memoryview(b"abcd")[::2],
            "ctypes": matrix,
            "scalar": numpy.float32(1.5),
            "flag": numpy.bool_(True),
        },
    )
    assert same(loaded["array"], numpy.array([1, -2], "int16"))
    assert same(loaded["view"], numpy.frombuffer(b"ac", "uint8"))
    assert same(loaded["ctypes"], numpy.arange(1.0, 7).reshape(2, 3))
    assert same(loaded["scalar"], numpy.array(1.5, "float32"))
    assert same(loaded["flag"], numpy.array(True))


def test_arrays_of_libraries_without_a_buffer_are_read_through_numpy(manager):
    class Interface:
        def __init__(self, of):
            self.__array_interface__ = of.__array_interface__
            self.kept = of

    class Capsule:
        def __init__(self, of):
            self.of = of

        def __dlpack__(self, **how):
            return self.of.__dlpack__(**how)

        def __dlpack_device__(self):
            return self.of.__dlpack_device__()

    of = numpy.arange(6.0).reshape(2, 3)
    loaded = round_trip(manager, {"interface": Interface(of.T), "dlpack": Capsule(of)})
    assert same(loaded["interface"], numpy.ascontiguousarray(of.T))
    assert same(loaded["dlpack"], of)


def test_other_forms_of_tensors(manager):
    given_ = {"w": numpy.arange(6, dtype="float32").reshape(2, 3), "z": elements(ml_dtypes.bfloat16, 3)}
    native = round_trip(manager, given_, tensors="qstore")
    assert [type(each) for each in native.values()] == [qstore.Tensor] * 2
    assert (native["w"].dtype, native["w"].shape, native["w"].nbytes) == ("float32", (2, 3), 24)
    assert repr(native["z"]) == "<Tensor: bfloat16 [3]>"
    view = memoryview(native["w"])
    assert (view.format, view.shape, view.readonly, view.tolist()) == ("f", (2, 3), False, given_["w"].tolist())
    view[1, 2] = 7.5
    assert numpy.asarray(native["w"])[1, 2] == 7.5
    shapes = round_trip(manager, given_, tensors=lambda tensor: tensor.shape)
    assert shapes == {"w": (2, 3), "z": (3,)}
    # A loaded tensor can be saved again.
    assert same(round_trip(manager, {"w": native["w"]})["w"].shape, (2, 3))
    with pytest.raises(ValueError, match="tensors is 'pandas'; choose"):
        manager.load(1, tensors="pandas")


def test_without_numpy_tensors_are_tensors(run_script, tmp_path):
    script = """
        import array, sys
        sys.modules["numpy"] = None  # what an import of a missing module finds
        import qstore
        with qstore.CheckpointManager(sys.argv[1]) as manager:
            manager.save(1, {"w": array.array("d", [0.5, 1.5]), "t": (1, 2**70)}).wait(60)
            loaded = manager.load(1)["model_state"]
            assert loaded["t"] == (1, 2**70)
            assert memoryview(loaded["w"]).tolist() == [0.5, 1.5]
            target = array.array("d", [0, 0])
            manager.load_into(1, {"w": target, "t": ()} | {"t": (0, 0)})
            assert target.tolist() == [0.5, 1.5]
    """
    run_script(script, tmp_path / "c")


class Opaque:
    pass


def deep(levels):
    state = 1
    for _ in range(levels):
        state = [state]
    return state


REFUSED = {
    "a set": ({"a": {"b": {1, 2}}}, "model.a.b", "of type set"),
    "an object": ({"layers": [0, Opaque()]}, "model.layers.1", "Opaque"),
    "objects": ({"a": numpy.array([Opaque()])}, "model.a", "type object"),
    "texts": ({"a": numpy.array(["x"])}, "model.a", "type str"),
    "times": ({"a": numpy.array(["2020-01-01"], "datetime64[D]")}, "model.a", "datetime64"),
    "records": ({"a": numpy.zeros(2, "i4,f8")}, "model.a", "void"),
    "a mask": ({"a": numpy.ma.masked_array([1, 2], [0, 1])}, "model.a", "masked array"),
    "long floats": ({"a": numpy.zeros(2, "longdouble")}, "model.a", ""),
    "a key": ({"a": {(1, 2): 3}}, "model.a", "a key of a dict"),
    "a flag as a key": ({True: 3}, "model", "a key of a dict"),
    "a large key": ({2**64: 3}, "model", "a key of a dict"),
    "no name": ({"a": {"": 3}}, None, "empty name"),
    "half a character": ({"a": "\ud800"}, "model.a", "surrogates"),
    "depth": ({"a": deep(60)}, None, "nested more than 48 levels"),
    "a cycle": ({}, None, "nested more than 48 levels"),
}
REFUSED["a cycle"][0]["self"] = REFUSED["a cycle"][0]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_saved_is_refused_with_its_path(manager, case):
    if case == "long floats" and numpy.dtype("longdouble").itemsize == 8:
        pytest.skip("a long double is a double here")
    state, path, what = REFUSED[case]
    manager.save(1, {"kept": 1}).wait(60)
    with pytest.raises(StateError) as refused:
        manager.save(1, state)
    assert what in str(refused.value)
    if path is not None:
        assert refused.value.path == path and f"`{path}`" in str(refused.value)
    assert isinstance(refused.value, TypeError)
    assert manager.load(1)["model_state"] == {"kept": 1}


def test_what_a_library_raises_is_the_cause_and_an_interrupt_is_passed_on(manager):
    class Broken:
        error = RuntimeError("on purpose")

        @property
        def __array_interface__(self):
            raise self.error

    with pytest.raises(StateError, match="on purpose"):
        manager.save(1, {"a": Broken()})
    Broken.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        manager.save(1, {"a": Broken()})


def test_metadata_has_plain_values(manager):
    metadata = {
        "loss": 0.5,
        "steps": numpy.int64(7),
        "best": numpy.float32(0.5),
        "flag": numpy.bool_(True),
        "nested": {"list": [1, (2, None)], 3: 2**70},
        "z": 1 + 2j,
    }
    manager.save(1, {}, metadata=metadata).wait(60)
    loaded = manager.load(1)["metadata"]
    assert same(
        loaded,
        {
            "loss": 0.5,
            "steps": 7,
            "best": 0.5,
            "flag": True,
            "nested": {"list": [1, (2, None)], 3: 2**70},
            "z": 1 + 2j,
        },
    )
    assert manager.get_checkpoint_info(1)["metadata"] == loaded
    for value in (numpy.zeros(3), b"bytes", Opaque(), {1, 2}):
        with pytest.raises(StateError, match=r"`metadata\.a\.0`"):
            manager.save(1, {}, metadata={"a": [value]})


scalars = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(),
    strategies.integers(-(2**200), 2**200),
    strategies.floats(),
    strategies.complex_numbers(),
    strategies.text(),
    strategies.binary(max_size=300),
)


@strategies.composite
def arrays(draw):
    dtype = draw(strategies.sampled_from(DTYPES))
    shape = draw(strategies.lists(strategies.integers(0, 5), max_size=4))
    whole = elements(dtype, math.prod(shape)).reshape(shape)
    order = draw(strategies.permutations(range(len(shape))))
    steps = draw(strategies.lists(strategies.sampled_from([1, 2, -1, -2]), min_size=len(shape), max_size=len(shape)))
    # Without dimensions the result would be a scalar.
    return numpy.asarray(whole.transpose(order)[tuple(slice(None, None, step) for step in steps)])


keys = strategies.one_of(strategies.text(min_size=1), strategies.integers(-(2**63), 2**63 - 1))
trees = strategies.recursive(
    scalars | arrays(),
    lambda nodes: strategies.one_of(
        strategies.lists(nodes, max_size=4),
        strategies.lists(nodes, max_size=4).map(tuple),
        strategies.dictionaries(keys, nodes, max_size=4),
    ),
    max_leaves=12,
)


def plain(tree):
    """What a tree comes back as: arrays without strides."""
    if isinstance(tree, numpy.ndarray):
        return numpy.ascontiguousarray(tree).reshape(tree.shape)
    if isinstance(tree, dict):
        return {key: plain(node) for key, node in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(plain, tree))
    return tree


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(model=trees, optimizer=trees)
def test_any_tree_comes_back(manager, model, optimizer):
    manager.save(2, model, optimizer, parts={"rng": model}).wait(60)
    loaded = manager.load(2)
    assert same(loaded["model_state"], plain(model))
    assert same(loaded["optimizer_state"], plain(optimizer))
    assert same(loaded["parts"], {"rng": plain(model)})


def test_another_program_reads_it(tmp_path):
    zarr = pytest.importorskip("zarr")
    state = {"layers": ({"w": numpy.arange(6.0)}, {"w": numpy.ones((2, 3))}), "key": b"\1\2", "seed": 2**100}
    with CheckpointManager(tmp_path) as manager:
        manager.save(7, state, metadata={"loss": 0.5, "shape": (1, 2)})
    store = zarr.storage.ZipStore(tmp_path / "epoch_0007.zarr.zip", mode="r")
    root = zarr.open_group(store, mode="r")
    assert root.attrs["metadata"] == {"loss": 0.5, "shape": [1, 2]}
    assert root["model/layers/0/w"][:].tolist() == [0, 1, 2, 3, 4, 5]
    assert root["model/key"][:].tolist() == [1, 2]
    assert root["model"].attrs["seed"] == hex(2**100)
    store.close()
