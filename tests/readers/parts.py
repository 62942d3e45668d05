"""Reads the named parts of checkpoints with zarr-python: arrays by their paths, plain values as attributes.

parts.py EXPECTED

EXPECTED is JSON: {"paths": [FILE OR DIRECTORY, ...], "number": NUMBER, "metadata": {...}, "attributes":
{part: {name: value}}, "arrays": {path: [element, ...]}}.
"""

import json
import os
import sys

import zarr


def check(path, expected):
    if os.path.isdir(path):
        return check_store(zarr.storage.LocalStore(path, read_only=True), path, expected)
    with zarr.storage.ZipStore(path, mode="r") as store:
        return check_store(store, path, expected)


def check_store(store, path, expected):
    root = zarr.open_group(store, mode="r")
    counter = "step" if "step_" in path else "epoch"
    assert root.attrs[counter] == expected["number"], f"{path}: {dict(root.attrs)}"
    assert root.attrs["metadata"] == expected["metadata"], f"{path}: {dict(root.attrs)}"
    parts = expected["attributes"]
    assert sorted(root.group_keys()) == sorted(parts), f"{path}: {sorted(root.group_keys())}"
    for part, wanted in parts.items():
        found = dict(root[part].attrs)
        assert found == wanted, f"{path}: {part} has {found} instead of {wanted}"
    for name, wanted in expected["arrays"].items():
        assert root[name][:].tolist() == wanted, f"{path}: {name} has other values"
    return len(parts)


def main():
    with open(sys.argv[1]) as file:
        expected = json.load(file)
    parts = {check(path, expected) for path in expected["paths"]}
    print(f"{parts.pop()} parts equal in {len(expected['paths'])} checkpoints")


main()
