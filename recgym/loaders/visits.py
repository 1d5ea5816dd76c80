"""From times to visits: where a user's log is cut into sessions, requests and places in the slate."""

from __future__ import annotations

import numpy as np
import polars as pl

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000


def number_visits(user: np.ndarray, time_ms: np.ndarray, new_visit: np.ndarray, slates: bool) -> dict[str, np.ndarray]:
    """Columns `session`, `step` and `position` of a log that is sorted by user and time.

    Args:
        user: (rows,) whose row it is.
        time_ms: (rows,) int64, milliseconds.
        new_visit: (rows,) bool, where a visit begins; a new user always begins one.
        slates: True = rows of a visit with the same time are one request; False = every row is a request.

    Returns:
        session (from 0), step and position, each (rows,) int64.
    """
    rows = np.arange(len(user))
    begins = new_visit | np.concatenate([[True], user[1:] != user[:-1]])[: len(user)]
    later = np.concatenate([[True], time_ms[1:] != time_ms[:-1]])[: len(user)]
    requests = begins | later if slates else np.ones(len(user), np.bool_)
    request = np.cumsum(requests) - 1
    first_row = np.maximum.accumulate(np.where(requests, rows, 0))
    first_request = np.maximum.accumulate(np.where(begins, request, 0))
    return {"session": np.cumsum(begins) - 1, "step": request - first_request, "position": rows - first_row}


def after_gap(time_ms: np.ndarray, gap_min: float) -> np.ndarray:
    """(rows,) bool: where more than `gap_min` minutes passed since the row before, or time jumps back."""
    wait = np.diff(time_ms, prepend=time_ms[:1])
    return np.asarray((wait > gap_min * MS_PER_MINUTE) | (wait < 0))


def on_new_day(time_ms: np.ndarray, offset_h: float) -> np.ndarray:
    """(rows,) bool: where the local calendar day (UTC + `offset_h`) differs from that of the row before."""
    day = (time_ms + int(offset_h * MS_PER_HOUR)) // MS_PER_DAY
    return np.asarray(np.diff(day, prepend=day[:1]) != 0)


def local_hour(time_ms: np.ndarray, offset_h: float) -> np.ndarray:
    """(rows,) int8: the hour of the day, 0 .. 23, at UTC + `offset_h`."""
    return np.asarray((time_ms + int(offset_h * MS_PER_HOUR)) % MS_PER_DAY // MS_PER_HOUR, np.int8)


def dense_rows(outside: pl.Series, known: np.ndarray) -> np.ndarray:
    """(rows,) int64: the place of each outside id in the sorted array `known`; -1 where it is not in it."""
    ids = outside.to_numpy()
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1)
