"""Reads checkpoints with zarr-python and compares every element.

checkpoint.py EXPECTED

EXPECTED is JSON: a list of {"path": FILE, "attributes": {name: value}, "arrays": {path: array}};
an array is {"dtype": numpy name, "shape": [...], "hex": its bytes in C order}.
"""

import json
import sys

import numpy
import zarr


def check(checkpoint):
    path = checkpoint["path"]
    with zarr.storage.ZipStore(path, mode="r") as store:
        root = zarr.open_group(store, mode="r")
        for name, wanted in checkpoint["attributes"].items():
            found = root.attrs[name]
            assert found == wanted, f"{path}: attribute {name} is {found!r} instead of {wanted!r}"
        found = {
            name: node for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array)
        }
        wanted = checkpoint["arrays"]
        assert sorted(found) == sorted(wanted), f"{path}: arrays {sorted(found)} instead of {sorted(wanted)}"
        for name, array in found.items():
            should = wanted[name]
            values = numpy.ascontiguousarray(array[...])
            assert list(values.shape) == should["shape"], f"{path}: {name} has shape {values.shape}"
            assert values.dtype.name == should["dtype"], f"{path}: {name} is {values.dtype}"
            assert values.tobytes().hex() == should["hex"], f"{path}: {name} has other values"
    return len(wanted)


def main():
    with open(sys.argv[1]) as file:
        checkpoints = json.load(file)
    arrays = sum(check(checkpoint) for checkpoint in checkpoints)
    print(f"{arrays} arrays equal in {len(checkpoints)} checkpoints")


main()
