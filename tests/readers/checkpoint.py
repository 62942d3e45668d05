"""Reads checkpoints with zarr-python and with TensorStore, and compares every element.

checkpoint.py EXPECTED

EXPECTED is JSON: a list of {"path": FILE OR DIRECTORY, "attributes": {name: value}, "arrays": {path:
array}}; an array is {"dtype": numpy name, "shape": [...], "hex": its bytes in C order}, and, where it
has them, {"attributes": {name: value}}. With "groups": [path, ...], each of these groups and each array is
also opened by its path, with and without the consolidated metadata. An entry {"path": DIRECTORY, "members": [name, ...]} says
which groups lie in a directory of checkpoints.
"""

import contextlib

import json
import os
import sys
import warnings

import numpy
import tensorstore
import zarr


@contextlib.contextmanager
def opened(path):
    if os.path.isdir(path):
        yield zarr.storage.LocalStore(path, read_only=True)
    else:
        with zarr.storage.ZipStore(path, mode="r") as store:
            yield store


def by_tensorstore(path, name):
    if os.path.isdir(path):
        store = {"driver": "file", "path": os.path.join(path, name)}
    else:
        store = {"driver": "zip", "base": f"file://{path}", "path": f"{name}/"}
    return tensorstore.open({"driver": "zarr3", "kvstore": store}).result().read().result()


def by_path(store, checkpoint):
    """What a node has below it, and its values, must not depend on where it was opened."""
    path, arrays = checkpoint["path"], checkpoint["arrays"]
    nodes = set(checkpoint["groups"]) | set(arrays)
    for how in ({}, {"use_consolidated": False}):
        root = zarr.open_group(store, mode="r", **how)
        for group in checkpoint["groups"]:
            below = {name[len(group) + 1 :] for name in nodes if name.startswith(group + "/")}
            for opened in (root[group], zarr.open_group(store, path=group, mode="r")):
                assert isinstance(opened, zarr.Group), f"{path}: {group} is {opened}"
                found = {name for name, _ in opened.members(max_depth=None)}
                assert below <= found, f"{path}: {group} lacks {sorted(below - found)}"
        for name, should in arrays.items():
            for opened in (root[name], zarr.open_array(store, path=name, mode="r")):
                values = numpy.asarray(opened[...])
                assert values.tobytes().hex() == should["hex"], f"{path}: {name}, by its path"


def check(checkpoint):
    path = checkpoint["path"]
    if "members" in checkpoint:
        with warnings.catch_warnings():
            # Files next to the groups, such as `.staging`, are mentioned in a warning and skipped.
            warnings.simplefilter("ignore")
            found = sorted(zarr.open_group(path, mode="r").group_keys())
        assert found == checkpoint["members"], f"{path}: groups {found}"
        return 0
    with opened(path) as store:
        root = zarr.open_group(store, mode="r")
        for name, wanted in checkpoint["attributes"].items():
            found = root.attrs[name]
            assert found == wanted, f"{path}: attribute {name} is {found!r} instead of {wanted!r}"
        found = {
            name: node for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array)
        }
        wanted = checkpoint["arrays"]
        if "groups" in checkpoint:
            by_path(store, checkpoint)
        assert sorted(found) == sorted(wanted), f"{path}: arrays {sorted(found)} instead of {sorted(wanted)}"
        for name, array in found.items():
            should = wanted[name]
            values = numpy.asarray(array[...])  # tobytes() is in C order
            assert list(values.shape) == should["shape"], f"{path}: {name} has shape {values.shape}"
            assert values.dtype.name == should["dtype"], f"{path}: {name} is {values.dtype}"
            assert values.tobytes().hex() == should["hex"], f"{path}: {name} has other values"
            values = numpy.asarray(by_tensorstore(path, name))
            assert values.dtype.name == should["dtype"], f"{path}: {name} is {values.dtype}"
            assert values.tobytes().hex() == should["hex"], f"{path}: {name}, TensorStore"
            for attribute, value in should.get("attributes", {}).items():
                assert array.attrs[attribute] == value, f"{path}: {name}: {attribute}"
    return len(wanted)


def main():
    with open(sys.argv[1]) as file:
        checkpoints = json.load(file)
    arrays = sum(check(checkpoint) for checkpoint in checkpoints)
    print(f"{arrays} arrays equal in {len(checkpoints)} checkpoints")


main()
