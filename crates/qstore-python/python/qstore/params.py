"""Parameters of a training, as ``run.json`` has them: dotted names, and plain values."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any


def json_of(params: Any) -> str:
    """Parameters as JSON: a mapping, a namespace or a dataclass, nested ones with dotted names.

    A NaN or an infinity is null, because JSON has none. What is no plain value is its text.

    :raises TypeError: for anything else.
    """
    if params is None:
        return "{}"
    fields = _fields(params)
    if fields is None:
        raise TypeError(f"params are a mapping, a namespace or a dataclass, not a {type(params).__name__}")
    plain: dict[str, Any] = {}
    _add(plain, "", fields)
    return json.dumps(plain)


def _add(plain: dict[str, Any], prefix: str, fields: Mapping[Any, Any]) -> None:
    for name, value in fields.items():
        dotted = f"{prefix}{name}"
        nested = _fields(value)
        if nested:
            _add(plain, f"{dotted}.", nested)
        else:
            plain[dotted] = None if nested is not None else _plain(value)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What has names: a mapping, a dataclass, a namespace of argparse or types; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if type(value).__name__ in ("Namespace", "SimpleNamespace"):
        names: dict[str, Any] = vars(value)
        return names
    return None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        # Beyond 64 bits readers of JSON round.
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            scalar = item()
        except Exception:  # an array of several elements
            return str(value)
        if isinstance(scalar, (bool, int, float, str)):
            return _plain(scalar)
    return str(value)
