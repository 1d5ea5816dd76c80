"""Files that are either whole or not there: written to a temporary name and renamed, never unpickled."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recgym.errors import BadData


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, or leave what was there."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; `BadData` names the file and the line that is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except ValueError as error:
        raise BadData(f"{path}: not JSON ({error}).") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to one npz file."""
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named arrays from an npz file; nothing is unpickled. `BadData` says what is missing or broken."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise BadData(f"{path}: lacks {', '.join(missing)}; it holds {', '.join(file.files)}.")
            arrays = {name: file[name] for name in names}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("a member is not an array")
            return arrays
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except (OSError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, EOFError) as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"{path}: not a complete npz file of plain arrays ({error}).") from error
