"""What all checks of `recgym.testing` share: their error, comparing bit for bit, and watching the global generators."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from recgym.errors import RecGymError
from recgym.noise import Noise

Leaves = dict[str, np.ndarray]
"""The arrays of a nested record by their dotted names, such as {"state.taste": ...}."""


class NotConforming(RecGymError, AssertionError):
    """A plug-in that breaks a rule of RecGym; an AssertionError too, so that test runners show it as a failed test.

    Args:
        rule: the rule in a few words; the same words for every way of breaking it, so that tests can match them.
        seen: what was seen, and at which row and step.
        advice: what to do about it.
    """

    def __init__(self, rule: str, seen: str, advice: str) -> None:
        super().__init__(rule, seen, advice)
        self.rule, self.seen, self.advice = rule, seen, advice

    def __str__(self) -> str:
        return f"{self.rule}: {self.seen}. {self.advice}"


def require(kept: bool, rule: str, seen: str, advice: str) -> None:
    """Raise `NotConforming` unless the rule was kept."""
    if not kept:
        raise NotConforming(rule, seen, advice)


def leaves(record: object, name: str) -> Leaves:
    """All arrays in a record of tuples, NamedTuples and dictionaries; numbers and texts become arrays of shape ()."""
    if isinstance(record, Mapping):
        parts = [(str(key), value) for key, value in record.items()]
    elif isinstance(record, Noise):
        parts = [("key", record.key), ("step", record.step)]
    elif isinstance(record, tuple | list):
        fields = getattr(record, "_fields", range(len(record)))
        parts = [(str(field), value) for field, value in zip(fields, record, strict=True)]
    else:
        return {name: np.asarray(record)}
    out: Leaves = {}
    for part, value in parts:
        out |= leaves(value, f"{name}.{part}" if name else part)
    return out


def copied(arrays: Leaves) -> Leaves:
    """Copies, which stay as they are whatever happens to the originals."""
    return {name: array.copy() for name, array in arrays.items()}


def rows_of(arrays: Leaves, rows: np.ndarray) -> Leaves:
    """Some rows of every array."""
    return {name: array[rows] for name, array in arrays.items()}


def difference(one: Leaves, other: Leaves) -> str | None:
    """The first difference between two records of arrays, in words; None where they are equal bit for bit."""
    if one.keys() != other.keys():
        return f"{', '.join(one)} against {', '.join(other)}"
    for name, left in one.items():
        right = other[name]
        if left.shape != right.shape or left.dtype != right.dtype:
            return f"{name} is {left.shape} {left.dtype} against {right.shape} {right.dtype}"
        apart = np.argwhere(_apart(left, right))
        if len(apart):
            at = tuple(int(index) for index in apart[0])
            where = f"{name}, row {at[0]}" + (f", place {at[1:]}" if at[1:] else "") if at else name
            return f"{where}: {left[at]!r} against {right[at]!r} ({len(apart)} of {left.size} numbers differ)"
    return None


def _apart(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where two arrays of one shape and type differ in any bit; one NaN is like the other."""
    if left.dtype.kind == "f":
        bits = np.dtype(f"u{left.dtype.itemsize}")
        same = np.ascontiguousarray(left).view(bits) == np.ascontiguousarray(right).view(bits)
        return np.asarray(~same.reshape(left.shape) & ~(np.isnan(left) & np.isnan(right)))
    return np.asarray(left != right)


@contextmanager
def untouched_chance(what: str) -> Iterator[None]:
    """Refuse a block that draws from, or seeds, a generator that belongs to the whole process."""
    before = _global_states()
    yield
    for name, state in _global_states().items():
        require(
            before.get(name, state) == state, "global chance", f"{what} moved the global generator of {name}",
            "Take chance from the `noise` you are handed, or from a generator of your own made from the seed.",
        )  # fmt: skip


@contextmanager
def global_chance(seed: int) -> Iterator[None]:
    """Seed the global generators for the length of a block, to see whether they have influence; then put them back."""
    legacy = np.random  # the checks must reach the very generator that others are told not to use
    numpy_state, python_state = legacy.get_state(), random.getstate()
    legacy.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        legacy.set_state(numpy_state)
        random.setstate(python_state)


def _global_states() -> dict[str, Any]:
    """The states of the process-wide generators; torch's only where somebody has imported torch."""
    kind, keys, place, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - it is watched, not used
    states: dict[str, Any] = {"NumPy": (kind, np.asarray(keys).tobytes(), place, has_gauss, gauss)}
    states["Python (random)"] = random.getstate()
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states


def pure_call(
    name: str, function: Callable[..., Any], arguments: tuple[Any, ...], again: tuple[Any, ...] | None = None
) -> Any:
    """The answer of a function that must be pure.

    It leaves its arguments and the global generators alone, answers the same twice, and does not write later into what
    it answered before.

    Args:
        name: what to call the function in messages.
        function: called as function(*arguments), then as function(*again).
        arguments: its arguments.
        again: equal arguments for the second call; None = the same objects.
    """
    before = copied(leaves(arguments, name))
    with untouched_chance(name):
        answer = function(*arguments)
    changed = difference(before, leaves(arguments, name))
    require(
        changed is None, "inputs stay as they are", f"{name} wrote into what it was given: {changed}",
        "Copy an array before you change it, and answer with the copy.",
    )  # fmt: skip
    first = copied(leaves(answer, name))
    second = function(*(arguments if again is None else again))
    changed = difference(first, leaves(answer, name))
    require(
        changed is None, "answers are new arrays", f"a second call of {name} changed what the first had answered: "
        f"{changed}", "Answer with a new array each time, not with a buffer that is used again.",
    )  # fmt: skip
    changed = difference(first, leaves(second, name))
    require(
        changed is None, "same call, same answer", f"{name} answered differently when called again: {changed}",
        "Keep all memory in the state and take all chance from `noise`; own no generator and no counter.",
    )  # fmt: skip
    return answer
