"""Large CSV files, plain or gzipped, read piece by piece with their header verified."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv

from recgym.errors import BadData

_BYTES_PER_ROW = 80


class Limit(NamedTuple):
    """The smallest and largest number a column of integers may hold, and what the column means."""

    low: int
    high: int
    meaning: str


class Piece(NamedTuple):
    """Some consecutive rows of a file.

    path: the file.
    first_line: line number in the file (from 1, the header is line 1) of the first row.
    table: the rows.
    """

    path: Path
    first_line: int
    table: pl.DataFrame


def read_header(path: Path, delimiter: str = ",") -> list[str]:
    """The column names of a CSV file, plain or gzipped.

    Raises:
        BadData: the file is missing, empty, damaged, or its first line is not text.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as file:
                line = file.readline()
        else:
            line = path.open(encoding="utf-8").readline()
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadData(f"{path}: truncated or damaged ({error}); download or copy it again.") from error
    if not line.strip():
        raise BadData(f"{path}: the file is empty; download or copy it again.")
    return [name.strip('"') for name in line.rstrip("\r\n").split(delimiter)]


def verify_header(path: Path, expected: Sequence[str], hint: str) -> None:
    """Refuse a CSV file whose columns are not exactly the expected ones in the expected order.

    Args:
        path: the file.
        expected: the column names.
        hint: what to do about a wrong file; ends the message.

    Raises:
        BadData: names the missing, the unexpected and the misplaced columns.
    """
    found = read_header(path)
    if found == list(expected):
        return
    missing = [name for name in expected if name not in found]
    surplus = [name for name in found if name not in expected]
    parts = [f"{path}: the header has {len(found)} columns; {len(expected)} are expected"]
    parts += [f"missing: {', '.join(missing)}"] if missing else []
    parts += [f"unexpected: {', '.join(surplus)}"] if surplus else []
    if not missing and not surplus:
        at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(expected))
        parts.append(f"in another order or repeated: column {at + 1} is {found[at]!r}")
    raise BadData("; ".join(parts) + f". {hint}")


def read_pieces(path: Path, types: Mapping[str, str], rows: int, delimiter: str = ",") -> Iterator[Piece]:
    """Read some columns of a CSV file about `rows` rows at a time; the file is never in memory as a whole.

    Args:
        path: a file that ends in .csv, .tsv, or either with .gz.
        types: "int64", "float64" or "string" for each column to read. Empty integers are refused.
        rows: about how many rows of 80 bytes a piece has.
        delimiter: what separates columns.

    Raises:
        BadData: truncated or damaged file, a line with too few columns, a value that is no number; names file,
            line and column.
    """
    names = read_header(path, delimiter)
    options = pyarrow.csv.ConvertOptions(
        column_types={name: getattr(pa, kind)() for name, kind in types.items()},
        include_columns=list(types),
        strings_can_be_null=True,
    )
    try:
        with pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=max(rows * _BYTES_PER_ROW, 4096), use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=options,
        ) as reader:
            line = 2
            for batch in reader:
                table = cast(pl.DataFrame, pl.from_arrow(batch))
                piece = Piece(path, line, table)
                _refuse_empty(piece, [name for name, kind in types.items() if kind == "int64"])
                yield piece
                line += table.height
    except pa.ArrowInvalid as error:
        text = re.sub(r"In CSV column #(\d+)", lambda match: f"in column {names[int(match[1])]!r}", str(error))
        raise BadData(f"{path}: {text.replace('Row #', 'line ')}. The file may be cut off; copy it again.") from error
    except OSError as error:
        raise BadData(f"{path}: truncated or damaged ({error}); download or copy it again.") from error


def check_limits(piece: Piece, limits: Mapping[str, Limit]) -> None:
    """Refuse rows with an integer outside its limits; `BadData` names file, line, column and value."""
    names = [name for name in limits if name in piece.table.columns]
    if not piece.table.height:
        return
    lowest, highest = piece.table.select(names).min().row(0), piece.table.select(names).max().row(0)
    for name, low, high in zip(names, lowest, highest, strict=True):
        limit = limits[name]
        if low >= limit.low and high <= limit.high:
            continue
        wrong = (piece.table[name] < limit.low) | (piece.table[name] > limit.high)
        row = wrong.arg_max() or 0
        raise BadData(
            f"{piece.path}: line {piece.first_line + row}: {name} = {piece.table[name][row]} ({limit.meaning}); "
            f"allowed: {limit.low} .. {limit.high}. Is this the released file? Download it again."
        )


def _refuse_empty(piece: Piece, names: Sequence[str]) -> None:
    for name in names:
        column = piece.table[name]
        if column.null_count():
            row = column.is_null().arg_max() or 0
            raise BadData(f"{piece.path}: line {piece.first_line + row}: {name} is empty; a whole number is needed.")
