"""What a platform knows of its users: profile, the last 20 items and answers, context. Never latent interest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.compiled import compiled

HISTORY = 20
"""How many past items an observation remembers."""

CONTEXT = ("visit_progress", "visit", "hour_sin", "hour_cos", "days_away", "seconds_watched")
"""Columns of `Observation.context`: exposures of this visit / 50, finished visits / 10, the hour of day on a circle,
log(1 + days before this visit) / 4, log(1 + seconds watched in this episode) / 8."""

_N_CONTEXT = len(CONTEXT)
_FORGET = np.float32(1.0 - 1.0 / HISTORY)


class Observation(NamedTuple):
    """What is known of n users before a choice; arrays share axis 0.

    profile: (n, P) float32, from the user model's `observe`.
    context: (n, 6) float32, columns in `CONTEXT`.
    history_item: (n, 20) int32, oldest first, -1 = nothing yet.
    history_watch_time_s: (n, 20) float32, seconds, 0 where there is no item.
    history_feedback: (n, 20, F) bool.
    candidate: (n, m) int32, the items that can be chosen; m = 0 means the whole catalogue.
    flat: (n, D) float32, all of the above (except ids) in numbers, see `flat_names`.
    """

    profile: np.ndarray
    context: np.ndarray
    history_item: np.ndarray
    history_watch_time_s: np.ndarray
    history_feedback: np.ndarray
    candidate: np.ndarray
    flat: np.ndarray

    def rows(self, index: np.ndarray | slice) -> Observation:
        """The observation of some of the users."""
        return Observation(*(column[index] for column in self))


def flat_names(n_profile: int, dimension: int, feedback: tuple[str, ...]) -> list[str]:
    """Names of the D columns of `Observation.flat` (without candidates, which follow as vectors and log durations)."""

    def vector(name: str) -> list[str]:
        return [f"{name}_{j}" for j in range(dimension)]

    last = [*vector("last_vector"), "last_log_duration", "last_log_watch_time", "last_completion"]
    return [
        *(f"profile_{j}" for j in range(n_profile)), *CONTEXT, *last, *(f"last_{name}" for name in feedback),
        *vector("mean_vector"), *vector("liked_vector"), *(f"rate_{name}" for name in feedback),
        *(f"log_watch_time_{j}_ago" for j in range(1, HISTORY + 1)),
    ]  # fmt: skip


@compiled
def push_rows(
    start: int,
    stop: int,
    table: np.ndarray,
    ring_item: np.ndarray,
    ring_watch: np.ndarray,
    ring_feedback: np.ndarray,
    count: np.ndarray,
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    vector: np.ndarray,
    duration: np.ndarray,
    log_duration: np.ndarray,
) -> None:
    """Enter the slates of some users and their answers into the rings (n, 20) and the flat encoding `table` (n, D)."""
    new = np.float32(1.0) - _FORGET
    d, f = vector.shape[1], feedback.shape[2]
    mean = table.shape[1] - HISTORY - f - 2 * d
    liked, rate, log_watch = mean + d, mean + 2 * d, mean + 2 * d + f
    last = mean - f - 3 - d
    for i in range(start, stop):
        for j in range(item.shape[1]):
            x = item[i, j]
            slot = count[i] % HISTORY
            count[i] += 1
            w = watch[i, j]
            ring_item[i, slot] = x
            ring_watch[i, slot] = w
            completion = w / duration[x]
            liking = new * min(completion, np.float32(1.0))
            for c in range(d):
                v = vector[x, c]
                table[i, last + c] = v
                table[i, mean + c] = _FORGET * table[i, mean + c] + new * v
                table[i, liked + c] = _FORGET * table[i, liked + c] + liking * v
            log_w = np.float32(math.log1p(w)) * np.float32(0.2)
            table[i, last + d] = log_duration[x]
            table[i, last + d + 1] = log_w
            table[i, last + d + 2] = min(completion, np.float32(3.0))
            for c in range(f):
                yes = feedback[i, j, c]
                ring_feedback[i, slot, c] = yes
                now = np.float32(1.0) if yes else np.float32(0.0)
                table[i, last + d + 3 + c] = now
                table[i, rate + c] = _FORGET * table[i, rate + c] + new * now
            for c in range(HISTORY - 1, 0, -1):
                table[i, log_watch + c] = table[i, log_watch + c - 1]
            table[i, log_watch] = log_w


@compiled
def context_rows(
    start: int,
    stop: int,
    out: np.ndarray,
    at: int,
    exposures: np.ndarray,
    visit: np.ndarray,
    clock_h: np.ndarray,
    days_away: np.ndarray,
    seconds_watched: np.ndarray,
) -> None:
    """Write the six columns of `CONTEXT` of some users to out[:, at:]."""
    for i in range(start, stop):
        hour = np.float32((clock_h[i] % 24.0) * (2.0 * np.pi / 24.0))
        out[i, at] = exposures[i, 0] * np.float32(0.02)
        out[i, at + 1] = visit[i] * 0.1
        out[i, at + 2] = math.sin(hour)
        out[i, at + 3] = math.cos(hour)
        out[i, at + 4] = math.log1p(days_away[i]) * np.float32(0.25) if days_away[i] > 0 else np.float32(0.0)
        out[i, at + 5] = math.log1p(seconds_watched[i]) * np.float32(0.125)


@compiled
def _append_candidates(
    out: np.ndarray, start: int, candidate: np.ndarray, vector: np.ndarray, log_duration: np.ndarray
) -> None:
    n, m = candidate.shape
    d = vector.shape[1]
    for i in range(n):
        for j in range(m):
            at = start + j * (d + 1)
            x = candidate[i, j]
            for c in range(d):
                out[i, at + c] = vector[x, c]
            out[i, at + d] = log_duration[x]


@compiled
def _unroll(
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    ring_item: np.ndarray,
    ring_watch: np.ndarray,
    ring_feedback: np.ndarray,
    count: np.ndarray,
) -> None:
    for i in range(item.shape[0]):
        for c in range(HISTORY):
            slot = (count[i] + c) % HISTORY
            item[i, c] = ring_item[i, slot]
            watch[i, c] = ring_watch[i, slot]
            for f in range(feedback.shape[2]):
                feedback[i, c, f] = ring_feedback[i, slot, f]


class Clock(NamedTuple):
    """Where n users stand in time; the raw numbers behind `Observation.context`.

    exposures: (n, S) float32, column 0 counts the exposures of this visit. visit: (n,) int64. clock_h: (n,) float64,
    hours since the world began. days_away: (n,) float32, before this visit. seconds_watched: (n,) float32, in this
    episode.
    """

    exposures: np.ndarray
    visit: np.ndarray
    clock_h: np.ndarray
    days_away: np.ndarray
    seconds_watched: np.ndarray

    def context(self) -> np.ndarray:
        """(n, 6) float32, columns in `CONTEXT`."""
        out = np.empty((len(self.visit), len(CONTEXT)), np.float32)
        context_rows(0, len(out), out, 0, *self)
        return out


class Recorder:
    """The memory a platform keeps of n users: the last items and answers, and the flat encoding. Changed in place.

    table: (n, D) float32, the flat encoding without candidates, see `flat_names`; its context is filled in when it is
    asked for. item, watch_time_s, feedback: rings of the last 20. count: (n,) int32, items so far.

    Args:
        n: number of users.
        catalog: supplies item vectors and durations.
        n_feedback: F, the number of feedback columns.
        n_profile: P, the number of profile columns.
    """

    def __init__(self, n: int, catalog: Catalog, n_feedback: int, n_profile: int) -> None:
        self.catalog = catalog
        self.n_profile = n_profile
        self.item = np.full((n, HISTORY), -1, np.int32)
        self.watch_time_s = np.zeros((n, HISTORY), np.float32)
        self.feedback = np.zeros((n, HISTORY, n_feedback), np.bool_)
        width = n_profile + _N_CONTEXT + 3 * catalog.vector.shape[1] + 3 + 2 * n_feedback + HISTORY
        self.table = np.zeros((n, width), np.float32)
        self.count = np.zeros(n, np.int32)

    @property
    def profile(self) -> np.ndarray:
        """(n, P) float32, a view."""
        return self.table[:, : self.n_profile]

    @property
    def liked(self) -> np.ndarray:
        """(n, d) float32, a copy: the running mean of item vectors, each weighted by how far it was watched."""
        d = self.catalog.vector.shape[1]
        start = self.table.shape[1] - HISTORY - self.feedback.shape[2] - d
        return np.ascontiguousarray(self.table[:, start : start + d])

    def flat(self, clock: Clock, candidate: np.ndarray | None = None) -> np.ndarray:
        """(n, D) float32, a new array: the flat encoding. `candidate` is (n, m) int32 or None."""
        context_rows(0, len(self.table), self.table, self.n_profile, *clock)
        if candidate is None or not candidate.shape[1]:
            return self.table.copy()
        start = self.table.shape[1]
        catalog = self.catalog
        width = start + candidate.shape[1] * (catalog.vector.shape[1] + 1)
        out = np.empty((len(self.table), width), np.float32)
        out[:, :start] = self.table
        _append_candidates(out, start, candidate, catalog.vector, catalog.log_duration)
        return out

    def ordered(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Item (n, 20), watch time (n, 20) and feedback (n, 20, F), copied, the newest in the last column."""
        out = np.empty_like(self.item), np.empty_like(self.watch_time_s), np.empty_like(self.feedback)
        _unroll(*out, self.item, self.watch_time_s, self.feedback, self.count)
        return out
