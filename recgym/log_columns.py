"""The columns an interaction log may have: type, unit, meaning, and what values are allowed."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recgym.errors import BadData


class Column(NamedTuple):
    """What one column of a log is.

    dtype: the Polars type on which the column is kept.
    unit: the unit of its numbers; "1" for counts, names, probabilities and yes/no.
    description: one sentence.
    low, high: smallest and largest allowed value (inclusive); None = no limit.
    above: the value must be larger than this; None = no limit.
    nullable: whether a row may lack a value.
    """

    dtype: Any
    unit: str
    description: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    nullable: bool = False


REQUIRED: dict[str, Column] = {
    "user": Column(pl.Int64, "1", "row of the population", low=0),
    "session": Column(pl.Int64, "1", "number of the visit, unique in this log; -1 = cannot be told apart", low=-1),
    "step": Column(pl.Int32, "1", "number of the request within the session", low=0),
    "position": Column(pl.Int16, "1", "place in the slate, 0 .. k-1", low=0),
    "item": Column(pl.Int32, "1", "row of the catalogue", low=0),
    "watch_time_s": Column(pl.Float32, "s", "how long the item was watched; 0 = skipped at once", low=0),
}
"""Columns every log has, besides one Boolean column for each of its feedbacks."""

OPTIONAL: dict[str, Column] = {
    "time_ms": Column(pl.Int64, "ms", "UTC time of the request, since 1970"),
    "propensity": Column(
        pl.Float64, "1", "probability with which this whole slate was shown; null = unknown", above=0, high=1,
        nullable=True,
    ),
    "reward": Column(pl.Float64, "1", "reward of the request, repeated on each of its rows"),
    "terminated": Column(pl.Boolean, "1", "the user left after this request"),
    "truncated": Column(pl.Boolean, "1", "watching the user stopped after this request"),
    "return_gap_days": Column(
        pl.Float32, "d", "days until the user came back; null unless the user left", low=0, nullable=True
    ),
    "seed": Column(pl.Int64, "1", "seed of the user's luck"),
    "episode": Column(pl.Int64, "1", "number of the episode of this user and seed", low=0),
}  # fmt: skip
"""Columns a log may have. `cost_<name>`, `extra_<name>` and `observation` may be there as well."""

_OBSERVATION = Column(pl.Array, "1", "what the policy saw before this choice, as one flat vector")
_UNIT_SUFFIX = {"_ms": "ms", "_s": "s", "_h": "h", "_hour": "h", "_days": "d"}


def describe(name: str, feedback: tuple[str, ...]) -> Column:
    """What the column `name` is in a log with these feedbacks.

    Raises:
        BadData: no such column is known; the message suggests the nearest name.
    """
    if name in REQUIRED:
        return REQUIRED[name]
    if name in OPTIONAL:
        return OPTIONAL[name]
    if name in feedback:
        return Column(pl.Boolean, "1", "feedback: whether the user gave it")
    if name == "observation":
        return _OBSERVATION
    if name.startswith("cost_") and len(name) > len("cost_"):
        return Column(pl.Float64, "1", "cost of the request, repeated on each of its rows")
    if name.startswith("extra_") and len(name) > len("extra_"):
        unit = next((unit for suffix, unit in _UNIT_SUFFIX.items() if name.endswith(suffix)), "1")
        return Column(None, unit, "additional column of the source", nullable=True)
    known = [*REQUIRED, *OPTIONAL, *feedback, "observation"]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise BadData(
        f"a log has no column {name!r}.{hint} Known: {', '.join(known)}, cost_<name>. "
        f"Keep a column of your own by calling it 'extra_{name}'."
    )


def checked(table: pl.DataFrame, feedback: tuple[str, ...]) -> pl.DataFrame:
    """The table with every column on its documented type, known columns first.

    Raises:
        BadData: a column is missing, unknown, of a type that cannot be converted without loss, or holds a value
            that is not allowed; names the column, the row (from 0) and the value.
    """
    _check_feedback_names(feedback)
    known = {name: describe(name, feedback) for name in table.columns}
    missing = [name for name in (*REQUIRED, *feedback) if name not in known]
    if missing:
        raise BadData(
            f"the log lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
            f"{', '.join(table.columns) or 'none'}. Every log has {', '.join(REQUIRED)} and one Boolean per feedback."
        )
    order = [name for name in (*REQUIRED, *feedback, *OPTIONAL) if name in known]
    order += [name for name in table.columns if name not in order]
    columns = [_on_type(table[name], known[name]) for name in order]
    for column in columns:
        _check_values(column, known[column.name])
    return pl.DataFrame(columns)


def _check_feedback_names(feedback: tuple[str, ...]) -> None:
    taken = [name for name in feedback if name in REQUIRED or name in OPTIONAL or name == "observation"]
    taken += [name for name in feedback if name.startswith(("cost_", "extra_")) or feedback.count(name) > 1]
    if taken or not feedback:
        raise BadData(
            f"feedback names are {feedback!r}; at least one is needed, each once, and none may be a known column "
            f"or start with 'cost_' or 'extra_'."
        )


def _on_type(column: pl.Series, known: Column) -> pl.Series:
    if known.dtype is None or column.dtype == known.dtype:
        return _flat_vectors(column) if known.dtype is pl.Array else column
    plain = column.dtype.is_numeric() or column.dtype == pl.Boolean
    if known.dtype is pl.Array:
        return _flat_vectors(column)
    if column.dtype == pl.Null and known.nullable:
        return column.cast(known.dtype)
    if not plain:
        raise BadData(
            f"column {column.name!r} is {column.dtype}; {known.dtype} is needed. Convert it before making the log."
        )
    cast = column.cast(known.dtype, strict=False)
    lost = column.is_not_null() & (cast.is_null() | _changed(column, cast))
    row = lost.arg_max() if lost.any() else None
    if row is not None:
        raise BadData(
            f"row {row}: {column.name} = {column[row]!r} ({column.dtype}) is no {known.dtype} value; the column "
            f"can be converted only without loss."
        )
    return cast


def _changed(column: pl.Series, cast: pl.Series) -> pl.Series:
    """Where a value differs after the conversion; from float to float only an overflow counts, never rounding."""
    if column.dtype.is_float() and cast.dtype.is_float():
        return column.is_finite() & ~cast.is_finite()
    return (cast.cast(column.dtype, strict=False) != column).fill_null(True)


def _flat_vectors(column: pl.Series) -> pl.Series:
    """The `observation` column as fixed-length vectors of finite Float32."""
    name, dtype = column.name, column.dtype
    nested = isinstance(dtype, pl.Array | pl.List) and dtype.inner is not None and dtype.inner.is_numeric()
    if not nested:
        raise BadData(f"column {name!r} is {dtype}; one list of Float32 of equal length per row is needed.")
    if isinstance(dtype, pl.List):
        lengths = column.list.len()
        width = lengths[0] if len(column) else 1
        odd = (lengths != width).fill_null(True)
        if odd.any():
            row = odd.arg_max()
            raise BadData(f"row {row}: {name} has length {lengths[row or 0]}, row 0 has {width}; all must be equal.")
        column = column.list.to_array(width)
    width = column.dtype.shape[0]  # type: ignore[attr-defined]
    column = column.cast(pl.Array(pl.Float32, width))
    numbers = column.explode() if len(column) else pl.Series([], dtype=pl.Float32)
    bad = (~numbers.is_finite()).fill_null(True)
    if bad.any():
        at = bad.arg_max() or 0
        raise BadData(f"row {at // width}: {name}[{at % width}] = {numbers[at]}; observations are finite numbers.")
    return column


def _check_values(column: pl.Series, known: Column) -> None:
    """Refuse nulls, NaN, infinities and values out of range; names the first such row."""
    if known.dtype is None or known.dtype is pl.Array or not len(column):
        return
    wrong = pl.repeat(False, len(column), eager=True)
    if column.null_count() and not known.nullable:
        wrong = wrong | column.is_null()
    if column.dtype.is_float():
        wrong = wrong | ~column.is_finite()
    if known.low is not None:
        wrong = wrong | (column < known.low)
    if known.above is not None:
        wrong = wrong | (column <= known.above)
    if known.high is not None:
        wrong = wrong | (column > known.high)
    wrong = wrong.fill_null(False)
    if wrong.any():
        row = wrong.arg_max() or 0
        raise BadData(
            f"row {row}: {column.name} = {column[row]}; allowed: {_allowed(known)} ({known.description}). "
            f"{wrong.sum()} of {len(column)} rows are affected."
        )


def _allowed(known: Column) -> str:
    """What values a column takes, in words, for messages."""
    kind = "true or false" if known.dtype is pl.Boolean else "finite numbers" if known.dtype.is_float() else "integers"
    limits = [f"{sign} {limit:g}" for sign, limit in ((">", known.above), (">=", known.low), ("<=", known.high))
              if limit is not None]  # fmt: skip
    return " ".join([kind, " and ".join(limits), "in " + known.unit if known.unit != "1" else ""]).strip() + (
        ", or null" if known.nullable else ""
    )


def as_table(columns: dict[str, np.ndarray]) -> pl.DataFrame:
    """A table from copies of arrays of equal length; NaN in a column that may lack values becomes null.

    Raises:
        BadData: arrays of unequal length, or a column that is neither one- nor (for `observation`) two-dimensional.
    """
    lengths = {name: len(array) if array.ndim else -1 for name, array in columns.items()}
    if len(set(lengths.values())) > 1 or -1 in lengths.values():
        listed = ", ".join(f"{name}: {columns[name].shape}" for name in lengths)
        raise BadData(f"the columns of a log are arrays of one common length; these came: {listed}.")
    for name, array in columns.items():
        if array.ndim != (2 if name == "observation" else 1):
            raise BadData(
                f"column {name!r} has shape {array.shape}; a column is (rows,) and the observation (rows, D)."
            )
    table = pl.DataFrame({name: np.array(array, order="C") for name, array in columns.items()})
    nullable = [
        name for name, known in OPTIONAL.items() if known.nullable and name in columns and table[name].dtype.is_float()
    ]
    return table.with_columns(pl.col(nullable).fill_nan(None)) if nullable else table
