"""The columns of somebody's own table, read and refused with words that help to mend it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recgym.errors import BadData

_NAN = ["NaN", "nan"]


class Source(NamedTuple):
    """A table and the file it came from.

    path: the file, for messages.
    table: its rows; row r of a message is table row r - 1.
    """

    path: Path
    table: pl.DataFrame

    def need(self, name: str, setting: str) -> pl.Series:
        """The column `name`; `BadData` suggests the nearest one and names the setting that asked for it."""
        if name in self.table.columns:
            return self.table[name]
        near = difflib.get_close_matches(name, self.table.columns, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BadData(
            f"{self.path}: no column {name!r}.{hint} It has {', '.join(self.table.columns)}. "
            f"Set {setting} to the right one."
        )

    def refuse(self, name: str, wrong: np.ndarray, needed: str) -> None:
        """Raise `BadData` for the first row where `wrong` (rows,) bool is true: its value, and what is `needed`."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            value = self.table[name][int(rows[0])]
            shown = "empty or NaN" if value is None else repr(value)
            raise BadData(
                f"{self.path}: row {rows[0] + 1}: {name} is {shown}; {needed}. {len(rows)} of {len(wrong)} rows are "
                f"affected: mend or drop them."
            )


def read_table(path: Path) -> Source:
    """A whole .csv, .tsv (either may end in .gz) or .parquet file; the texts NaN and nan are empty values.

    Raises:
        BadData: missing, damaged or empty file, or another kind of file.
    """
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            table = pl.read_parquet(path)
        elif name.endswith((".csv", ".tsv")):
            separator = "\t" if name.endswith(".tsv") else ","
            table = pl.read_csv(path, separator=separator, infer_schema_length=None, null_values=_NAN)
        else:
            raise BadData(f"{path}: a file of this kind is not read; .csv, .tsv (.gz) and .parquet are.")
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadData(f"{path}: truncated, damaged or no table ({error}); copy or export it again.") from error
    if not table.height:
        raise BadData(f"{path}: the table has no rows.")
    return Source(path, table)


def numbers(source: Source, name: str, setting: str, unit: str, may_lack: bool = False, low: float = 0.0) -> np.ndarray:
    """A column of finite numbers, as (rows,) float64.

    Args:
        source: the table.
        name: its column.
        setting: the setting that names the column.
        unit: "s" or "ms"; milliseconds are turned into seconds. "1" = no unit.
        may_lack: whether rows may lack the value; they are NaN in the answer.
        low: smallest allowed value, in the unit of the column.

    Raises:
        BadData: no such column, text, or an impossible value.
    """
    column = source.need(name, setting)
    if column.dtype == pl.Null:
        column = column.cast(pl.Float64)
    if not column.dtype.is_numeric():
        raise BadData(f"{source.path}: {name} holds {column.dtype}, such as {column[0]!r}; numbers are needed.")
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    wrong = np.isinf(values) | (values < low) | (np.isnan(values) & (not may_lack))
    needed = f"finite numbers{f' from {low:g}' if np.isfinite(low) else ''} are needed{f' ({unit})' * (unit != '1')}"
    source.refuse(name, wrong, needed)
    return np.asarray(values / 1000.0 if unit == "ms" else values)


def times_ms(source: Source, name: str, unit: str) -> np.ndarray:
    """A column of times as (rows,) int64 milliseconds since 1970 in UTC; Parquet's dates and times are taken as UTC."""
    column = source.need(name, "time")
    if column.dtype in (pl.Date, pl.Datetime):
        source.refuse(name, column.is_null().to_numpy(), "a time is needed")
        return np.asarray(column.cast(pl.Datetime("ms")).cast(pl.Int64).to_numpy())
    seconds = numbers(source, name, "time", "1")
    if unit == "ms" and column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    return np.asarray(np.rint(seconds * (1000.0 if unit == "s" else 1.0)), np.int64)


def flags(source: Source, name: str, setting: str) -> np.ndarray:
    """A column of 0/1 or true/false as (rows,) bool."""
    column = source.need(name, setting)
    if column.dtype == pl.Boolean:
        source.refuse(name, column.is_null().to_numpy(), "true or false is needed")
        return column.to_numpy()
    values = numbers(source, name, setting, "1")
    source.refuse(name, (values != 0) & (values != 1), "0 or 1 (or true or false) is needed")
    return np.asarray(values == 1)


def ids(source: Source, name: str, setting: str) -> pl.Series:
    """A column of ids, Int64 or text.

    Raises:
        BadData: no such column, an empty id, or fractional numbers.
    """
    column = source.need(name, setting)
    source.refuse(name, column.is_null().to_numpy(), "every row needs an id")
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if not column.dtype.is_integer():
        raise BadData(
            f"{source.path}: {name} holds {column.dtype}, such as {column[0]!r}; ids are whole numbers or text."
        )
    return column.cast(pl.Int64)


def places(column: pl.Series, known: pl.Series) -> np.ndarray:
    """(rows,) int64: the row of each id in the distinct ids `known`; -1 where it is not among them."""
    if column.dtype != known.dtype:
        raise BadData(
            f"ids {column.name!r} are {column.dtype} in one file and {known.dtype} in the other; make both whole "
            f"numbers, or both text."
        )
    row = pl.Series(np.arange(len(known), dtype=np.int64))
    return column.replace_strict(known, row, default=-1, return_dtype=pl.Int64).to_numpy()


def outside_ids(known: pl.Series, what: str, notes: list[str]) -> np.ndarray:
    """(n,) int64: the ids themselves; for ids of text their place in sorted order, which a note says."""
    if known.dtype == pl.Int64:
        return known.to_numpy()
    notes.append(f"{what} ids are text: the outside id is the place of the text in sorted order, from 0.")
    return np.arange(len(known), dtype=np.int64)
