"""What a loaded tensor becomes, and states that are filled in place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ._native import Tensor, copy_into, describe
from .errors import StateError

Convert = Callable[[Tensor], Any]

#: Element types that numpy does not have itself.
_OF_ML_DTYPES = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}


def converter(tensors: str | Convert | None) -> Convert | None:
    """What turns the tensors of a load into arrays. None leaves them as they are.

    :raises ValueError: for a name that is not known.
    :raises ImportError: for a library that cannot be imported.
    """
    if callable(tensors):
        return tensors
    if tensors == "torch":
        return _torch()
    if tensors == "numpy":
        return _numpy()
    if tensors == "qstore":
        return None
    if tensors is None:
        try:
            return _numpy()
        except ImportError:
            return None
    raise ValueError(
        f'tensors is {tensors!r}; choose None, "numpy", "torch", "qstore" or a function that takes a qstore.Tensor'
    )


def _numpy() -> Convert:
    import numpy

    def convert(tensor: Tensor) -> Any:
        if tensor.dtype not in _OF_ML_DTYPES:
            return numpy.asarray(tensor)
        try:
            import ml_dtypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            return tensor
        return numpy.asarray(tensor).view(getattr(ml_dtypes, tensor.dtype))

    return convert


def _torch() -> Convert:
    import torch  # type: ignore[import-not-found, import-untyped, unused-ignore]

    def convert(tensor: Tensor) -> Any:
        dtype = getattr(torch, tensor.dtype)
        if tensor.nbytes == 0:
            return torch.empty(tensor.shape, dtype=dtype)
        return torch.frombuffer(tensor, dtype=dtype).reshape(tensor.shape)

    return convert


def check(target: Any, loaded: Any, path: str) -> None:
    """Compares a state that is to be filled with a loaded one.

    A plain value may have another type than the loaded one, which replaces it; an array must be one in both.

    :raises StateError: if their structure, a shape or an element type differs, or what is an array.
    """
    if isinstance(loaded, Tensor):
        known, wanted = _described(target, path), (loaded.dtype, loaded.shape)
        if known is None:
            raise StateError(f"`{path}` is a {type(target).__name__}, but a tensor in the checkpoint", path)
        if known != wanted:
            here, there = (f"{dtype} {list(shape)}" for dtype, shape in (known, wanted))
            raise StateError(f"`{path}` is {here}, but {there} in the checkpoint", path)
    elif isinstance(loaded, dict) and isinstance(target, Mapping):
        missing = [key for key in target if key not in loaded]
        added = [key for key in loaded if key not in target]
        if missing or added:
            raise StateError(f"the keys of `{path}` differ: here only {missing}, in the checkpoint only {added}", path)
        for key, node in loaded.items():
            check(target[key], node, f"{path}.{key}")
    elif isinstance(loaded, (list, tuple)) and isinstance(target, (list, tuple)):
        if len(target) != len(loaded):
            raise StateError(f"`{path}` has {len(target)} elements, but {len(loaded)} in the checkpoint", path)
        for at, (old, node) in enumerate(zip(target, loaded, strict=True)):
            check(old, node, f"{path}.{at}")
    elif isinstance(loaded, (dict, list, tuple)) or isinstance(target, (dict, list, tuple)):
        here, there = type(target).__name__, type(loaded).__name__
        raise StateError(f"`{path}` is a {here}, but a {there} in the checkpoint", path)
    elif _is_array(target, path):
        raise StateError(f"`{path}` is an array, but a {type(loaded).__name__} in the checkpoint", path)


def _described(target: Any, path: str) -> tuple[str, tuple[int, ...]] | None:
    """The element type and the shape of an array; None for anything else."""
    try:
        return describe(target)
    except TypeError as error:  # an array of objects, a sparse one
        raise StateError(f"`{path}` cannot be filled: {error}", path) from error


def _is_array(target: Any, path: str) -> bool:
    """Whether it is an array that would be left as it is if a plain value took its place."""
    if target is None or isinstance(target, (bool, int, float, complex, str, bytes, bytearray)):
        return False
    numpy = sys.modules.get("numpy")
    # A scalar of numpy is a value: nothing else refers to its memory.
    if numpy is not None and isinstance(target, numpy.generic):
        return False
    return _described(target, path) is not None


def fill(target: Any, loaded: Any, convert: Convert | None) -> Any:
    """Copies the arrays of a loaded state into those of ``target``, which was checked.

    Returns the state that is meant: the arrays of ``target`` and the loaded values for all the rest. An array that
    cannot be written to, as one of jax, is replaced by a new one; a named tuple stays one.
    """
    if isinstance(loaded, Tensor):
        if copy_into(target, loaded):
            return target
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(target, torch.Tensor):
            # Of another device, or a view that torch computes when it is read.
            with torch.no_grad():
                target.copy_(_torch()(loaded))
            return target
        new = loaded if convert is None else convert(loaded)
        if hasattr(target, "assign"):  # a variable of tensorflow or keras
            target.assign(new)
            return target
        if type(target).__module__.partition(".")[0] in ("jax", "jaxlib"):
            return sys.modules["jax"].numpy.asarray(new)
        return new
    if isinstance(loaded, dict):
        return {key: fill(target[key], node, convert) for key, node in loaded.items()}
    if isinstance(loaded, (list, tuple)):
        nodes = [fill(old, node, convert) for old, node in zip(target, loaded, strict=True)]
        if isinstance(target, tuple) and hasattr(target, "_fields"):
            return type(target)(*nodes)
        return tuple(nodes) if isinstance(loaded, tuple) else nodes
    return loaded
