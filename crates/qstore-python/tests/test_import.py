"""What `import qstore` brings, and what it does not."""

import subprocess
import sys

import pytest

import qstore


def test_an_import_brings_the_native_module_and_nothing_else():
    code = "import sys; before = set(sys.modules); import qstore; print(*sorted(set(sys.modules) - before))"
    brought = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert brought == ["qstore", "qstore._native"]


def test_every_public_name_is_there_and_is_listed():
    for name in qstore.__all__:
        assert getattr(qstore, name).__name__ == name if name != "__version__" else qstore.__version__
        assert name in dir(qstore)
    assert set(qstore._HOMES) < set(qstore.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'qstore' has no attribute 'AsyncBufer'"):
        qstore.AsyncBufer  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'AsyncBufer'"):
        from qstore import AsyncBufer  # noqa: F401
