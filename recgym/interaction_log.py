"""The one data format of RecGym: who was shown what, when, and what they did with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recgym.errors import BadData, WrongSetting, WrongShape
from recgym.log_columns import OPTIONAL, REQUIRED, as_table, checked, describe
from recgym.noise import Noise
from recgym.storage import whole_file

FORMAT_VERSION = 1
"""Version of the file format; a file with a larger one was written by a newer RecGym and is refused."""

_VERSION_KEY, _FEEDBACK_KEY, _SOURCE_KEY = b"recgym.log", b"recgym.feedback", b"recgym.source"


@dataclass(frozen=True, eq=False, repr=False)
class InteractionLog:
    """One row per shown item. Immutable: every method returns a new log.

    Required columns: `user` (row of the population), `session` (number of the visit, unique in this log and
    belonging to one user; -1 where visits cannot be told apart), `step` (number of the request within the session),
    `position` (place in the slate), `item` (row of the catalogue), `watch_time_s`, and one Boolean column per
    feedback. Optional: `time_ms`, `propensity`, `reward`, `terminated`, `truncated`, `return_gap_days`, `seed`,
    `episode`, `cost_<name>`, `observation` (one Float32 vector per row) and `extra_<anything>`. Types, units and
    limits are in `recgym.log_columns`. A column of another type is converted where nothing is lost: integers only
    exactly, 0/1 to true/false, floats up to rounding.

    Args:
        table: the rows.
        feedback: names of the F feedback columns, in the order of the user model.
        source: where the rows come from, in free text: world, policy, seed, dataset ...

    Raises:
        BadData: a missing or unknown column, or a value that is not allowed; names row, column and value.
    """

    table: pl.DataFrame
    feedback: tuple[str, ...]
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        feedback = tuple(self.feedback)
        object.__setattr__(self, "feedback", feedback)
        object.__setattr__(self, "source", {str(key): str(value) for key, value in self.source.items()})
        object.__setattr__(self, "table", checked(self.table, feedback))

    @classmethod
    def from_arrays(
        cls, columns: Mapping[str, np.ndarray], feedback: tuple[str, ...], source: Mapping[str, str] | None = None
    ) -> InteractionLog:
        """A log from arrays of shape (rows,), `observation` (rows, D).

        NaN in `propensity` and `return_gap_days` means unknown. Raises `BadData` as the constructor does.
        """
        arrays = {name: np.asarray(array) for name, array in columns.items()}
        return cls(as_table(arrays), feedback, source or {})

    def __len__(self) -> int:
        return self.table.height

    def __repr__(self) -> str:
        return (
            f"InteractionLog({len(self)} rows, {self.n_users} users, feedback {', '.join(self.feedback)}; "
            f"source {dict(self.source)})"
        )

    @property
    def n_users(self) -> int:
        """How many different users occur."""
        return self.table["user"].n_unique()

    def array(self, name: str) -> np.ndarray:
        """One column as an array (rows,); treat it as read-only. Unknown values of a float column are NaN.

        Raises:
            BadData: the log has no such column.
        """
        if name not in self.table.columns:
            raise BadData(f"this log has no column {name!r}; it has {', '.join(self.table.columns)}.")
        return self.table[name].to_numpy()

    def feedback_matrix(self) -> np.ndarray:
        """(rows, F) bool, columns in the order of `feedback`."""
        return np.column_stack([self.array(name) for name in self.feedback])

    def observations(self) -> np.ndarray:
        """(rows, D) float32, what the policy saw before each choice; `BadData` if the log does not keep it."""
        return self.array("observation")

    def in_order(self) -> InteractionLog:
        """The same rows, those of each session together: sorted by session, step and position."""
        return self._with(self.table.sort("session", "step", "position", maintain_order=True))

    def sessions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each session lies: its rows are start[i] .. stop[i] - 1, in the order of time.

        Rows of session -1 are left out.

        Returns:
            start, stop: (sessions,) int64 each, increasing.

        Raises:
            BadData: the rows of a session are apart, run backwards, or belong to two users.
        """
        session, user, step = self.array("session"), self.array("user"), self.array("step")
        start, stop = _runs(session)
        kept = session[start] >= 0
        start, stop = start[kept], stop[kept]
        if len(np.unique(session[start])) < len(start):
            raise BadData("the rows of at least one session are not together in this log; call in_order() first.")
        same = (session[1:] == session[:-1]) & (session[1:] >= 0)
        for wrong, what in ((user[1:] != user[:-1], "belongs to two users"), (step[1:] < step[:-1], "runs backwards")):
            at = np.flatnonzero(same & wrong)
            if len(at):
                raise BadData(
                    f"row {at[0] + 1}: session {session[at[0]]} {what}. A session is one visit of one user; "
                    f"call in_order() to sort rows by step."
                )
        return start, stop

    def requests(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each request lies: rows start[i] .. stop[i] - 1 are the items of one slate.

        A request is a run of rows with the same user, session and step.

        Returns:
            start, stop: (requests,) int64 each, increasing.
        """
        return _runs(self.array("user"), self.array("session"), self.array("step"))

    def where(self, rows: np.ndarray | pl.Series | pl.Expr) -> InteractionLog:
        """The rows for which a mask (rows,) bool or a Polars expression is true, in the same order.

        Raises:
            WrongShape: a mask of another length or type.
        """
        if isinstance(rows, pl.Expr):
            return self._with(self.table.filter(rows))
        mask = np.asarray(rows)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise WrongShape(f"a mask of shape ({len(self)},) bool is needed; {mask.shape} {mask.dtype} came.")
        return self._with(self.table.filter(pl.Series(mask)))

    def __add__(self, other: InteractionLog) -> InteractionLog:
        return InteractionLog.concat([self, other])

    @classmethod
    def concat(cls, logs: Iterable[InteractionLog]) -> InteractionLog:
        """All rows of several logs of the same population and catalogue, one log after the other.

        Sessions are renumbered so that they stay unique. An optional column that only some logs have is filled
        with null where null is allowed (`propensity`, `return_gap_days`, `extra_...`).

        Raises:
            BadData: no log, other feedback names, or columns that do not go together.
        """
        parts = list(logs)
        if not parts:
            raise BadData("concat needs at least one log.")
        feedback = parts[0].feedback
        other = next((log.feedback for log in parts if log.feedback != feedback), None)
        if other is not None:
            raise BadData(f"logs with feedback {feedback} and {other} do not go together.")
        _check_shared_columns(parts)
        tables, offset = [], 0
        for log in parts:
            renumbered = pl.when(pl.col("session") >= 0).then(pl.col("session") + offset).otherwise(-1)
            tables.append(log.table.with_columns(renumbered.alias("session")))
            offset += int(cast(int, log.table["session"].max())) + 1 if len(log) else 0
        try:
            table = pl.concat(tables, how="diagonal")
        except pl.exceptions.PolarsError as error:
            raise BadData(f"columns of these logs differ in type and do not go together ({error}).") from error
        return cls(table, feedback, _joined_sources(parts))

    def split_by_time(self, time_ms: int) -> tuple[InteractionLog, InteractionLog]:
        """The rows before `time_ms` (UTC, since 1970), and the others. A visit under way at that moment is cut.

        Raises:
            BadData: the log keeps no `time_ms`.
        """
        before = self.array("time_ms") < time_ms
        return self.where(before), self.where(~before)

    def split_users(self, fraction: float, seed: int) -> tuple[InteractionLog, InteractionLog]:
        """The rows of a random `fraction` of the users, and those of the others.

        Exactly round(fraction x users) users are chosen: those with the smallest random number, which depends on
        `seed` and the user alone.

        Raises:
            WrongSetting: a fraction outside [0, 1].
        """
        if not 0.0 <= fraction <= 1.0:
            raise WrongSetting(f"fraction is {fraction}; a share of the users between 0 and 1 is needed.")
        user = self.array("user")
        people = np.unique(user)
        luck = Noise.of(people, np.full(len(people), seed)).uniform("split users")[:, 0]
        chosen = people[np.argsort(luck, kind="stable")[: round(fraction * len(people))]]
        mask = np.isin(user, chosen)
        return self.where(mask), self.where(~mask)

    def save(self, path: Path | str) -> None:
        """Write one Parquet file; units and descriptions are in the field metadata, the rest in the schema's."""
        table = self.table.to_arrow(compat_level=pl.CompatLevel.oldest())
        fields = [_with_unit(part, self.feedback) for part in table.schema]
        metadata = {
            _VERSION_KEY: str(FORMAT_VERSION).encode(),
            _FEEDBACK_KEY: json.dumps(self.feedback).encode(),
            _SOURCE_KEY: json.dumps(self.source).encode(),
        }
        with whole_file(Path(path)) as partial:
            pq.write_table(table.cast(pa.schema(fields, metadata=metadata)), partial, compression="zstd")

    @classmethod
    def load(cls, path: Path | str) -> InteractionLog:
        """Read what `save` wrote.

        Raises:
            BadData: no such file, a truncated or foreign file, or a later version of the format.
        """
        feedback, source = _read_header(Path(path))
        try:
            table = cast(pl.DataFrame, pl.from_arrow(pq.read_table(path)))
            return cls(table, feedback, source)
        except (OSError, pa.ArrowException, BadData) as error:
            raise BadData(f"{path}: not a complete interaction log ({error}).") from error

    @classmethod
    def scan(cls, path: Path | str) -> pl.LazyFrame:
        """The rows of a saved log, read only as far as a query needs them. Raises `BadData` as `load` does."""
        _read_header(Path(path))
        return pl.scan_parquet(path)

    def _with(self, table: pl.DataFrame) -> InteractionLog:
        return _trusted(table, self.feedback, self.source)


def _trusted(table: pl.DataFrame, feedback: tuple[str, ...], source: Mapping[str, str]) -> InteractionLog:
    """A log from rows of a log: they were checked once and are not checked again."""
    log = object.__new__(InteractionLog)
    for name, value in (("table", table), ("feedback", feedback), ("source", dict(source))):
        object.__setattr__(log, name, value)
    return log


def _runs(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops (int64) of the runs of rows on which all the columns stay the same."""
    n = len(columns[0])
    if not n:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    changes = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    start = np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)
    return start, np.append(start[1:], n)


def _check_shared_columns(parts: list[InteractionLog]) -> None:
    names = {name for log in parts for name in log.table.columns}
    for name in sorted(names):
        lacking = [i for i, log in enumerate(parts) if len(log) and name not in log.table.columns]
        if lacking and not describe(name, parts[0].feedback).nullable:
            raise BadData(
                f"column {name!r} is missing in log {lacking[0]} of those to be put together and cannot be null; "
                f"drop it from the others, or add it there."
            )


def _joined_sources(parts: list[InteractionLog]) -> dict[str, str]:
    """The free texts of several logs; where they differ, one after the other."""
    joined: dict[str, list[str]] = {}
    for log in parts:
        for key, value in log.source.items():
            texts = joined.setdefault(key, [])
            texts += [text for text in value.split("; ") if text not in texts]
    return {key: "; ".join(texts) for key, texts in joined.items()}


def _with_unit(part: Any, feedback: tuple[str, ...]) -> Any:
    known = describe(part.name, feedback)
    return part.with_metadata({"unit": known.unit, "description": known.description})


def _read_header(path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Feedback names and source of a saved log; `BadData` names the path and what is wrong with the file."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{path}: truncated, or not a Parquet file ({error}).") from error
    try:
        version = int(metadata[_VERSION_KEY])
        header = tuple(json.loads(metadata[_FEEDBACK_KEY])), dict(json.loads(metadata[_SOURCE_KEY]))
    except (KeyError, ValueError, TypeError) as error:
        raise BadData(
            f"{path}: a Parquet file, but not one that InteractionLog.save wrote. To read a log of your own, use "
            f"the loader 'event_log'."
        ) from error
    if version > FORMAT_VERSION:
        raise BadData(f"{path}: format version {version}; this RecGym reads up to {FORMAT_VERSION}. Update RecGym.")
    return header


__all__ = ["FORMAT_VERSION", "OPTIONAL", "REQUIRED", "InteractionLog"]
