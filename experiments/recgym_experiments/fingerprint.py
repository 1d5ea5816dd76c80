"""One short name for all settings of a world, so that numbers of different worlds are never compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recgym.simulator import Simulator


def world_name(world_id: str, simulator: Simulator) -> str:
    """`world_id@` and 12 hexadecimal digits that change with any setting, parameter, person or item of the world."""
    return f"{world_id}@{fingerprint(simulator)}"


def fingerprint(value: Any) -> str:
    """12 hexadecimal digits of the content of `value`: arrays, dataclasses, mappings, sequences, plain objects.

    Equal content gives equal digits in any process. Objects of other kinds count by their class and their attributes;
    functions by their name alone.
    """
    digest = hashlib.sha256()
    for piece in _pieces(value, set()):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()[:12]


def _pieces(value: Any, above: set[int]) -> Iterator[bytes]:
    """The content of `value` as byte strings; `above` holds the objects that contain it."""
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
        return
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic)):
        yield f"{type(value).__name__} {value!r}".encode()
        return
    if id(value) in above:
        yield b"seen above"
        return
    yield type(value).__qualname__.encode()
    for name, part in _parts(value):
        yield name.encode()
        yield from _pieces(part, above | {id(value)})


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Names and contents of what `value` is made of; for dataclasses their fields only, never what they cache."""
    if isinstance(value, Mapping):
        return sorted((repr(key), part) for key, part in value.items())
    if isinstance(value, (set, frozenset)):
        return [(repr(part), None) for part in sorted(value, key=repr)]
    if isinstance(value, (list, tuple)):
        return [(str(i), part) for i, part in enumerate(value)]
    if is_dataclass(value):
        return [(f.name, getattr(value, f.name)) for f in fields(value)]
    if callable(value) and hasattr(value, "__qualname__"):
        return [(value.__qualname__, None)]
    cached = {
        name for kind in type(value).__mro__ for name, part in vars(kind).items() if isinstance(part, cached_property)
    }
    return [(name, part) for name, part in sorted(getattr(value, "__dict__", {}).items()) if name not in cached]
