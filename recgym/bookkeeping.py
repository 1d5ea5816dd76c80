"""What a step leaves behind: history, running means, time, signals, reward, and who is done. Compiled, in place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from recgym.objective import total_rows
from recgym.observation import push_rows

_SECONDS_BETWEEN_ITEMS = 1.0


class Outcome(NamedTuple):
    """What a step is found to have brought; filled in by `account_rows`.

    total: (n, T) float64, see `recgym.objective.signal_names`. reward: (n,) float64. end: (n, 3) bool: the visit ended,
    the user left for good, we stop watching.
    """

    total: np.ndarray
    reward: np.ndarray
    end: np.ndarray


class Ledger(NamedTuple):
    """The arrays of a crowd that every step moves forward; see `recgym.simulator.Crowd` and `Recorder`."""

    step: np.ndarray
    visit: np.ndarray
    clock_h: np.ndarray
    seconds_watched: np.ndarray
    session: np.ndarray
    item: np.ndarray
    watch_time_s: np.ndarray
    log_watch_time: np.ndarray
    feedback: np.ndarray
    digest: np.ndarray
    shown: np.ndarray


@njit(cache=True)
def account_rows(
    start: int,
    stop: int,
    out: Any,
    ledger: Any,
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    vector: np.ndarray,
    duration: np.ndarray,
    weights: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Book the answers of some users, whose `out.end[:, 0]` is known; `ends` holds an episode's visits and steps."""
    total, reward, end = out
    left = end[:, 0]
    (step, visit, clock_h, seconds_watched, session,
     ring_item, ring_watch, ring_log, ring_feedback, digest, count) = ledger  # fmt: skip
    push_rows(start, stop, ring_item, ring_watch, ring_log, ring_feedback, digest, count, item, watch, feedback,
              vector, duration)  # fmt: skip
    total_rows(start, stop, total, reward, watch, feedback, left, session, weights)
    pause = np.float32(_SECONDS_BETWEEN_ITEMS * item.shape[1])
    for i in range(start, stop):
        seconds = np.float32(total[i, 0])
        seconds_watched[i] += seconds
        clock_h[i] += (seconds + pause) * np.float32(1.0 / 3600.0)
        step[i] += 1
        if left[i]:
            visit[i] += 1
        end[i, 1] = left[i] and visit[i] >= ends[0]
        end[i, 2] = step[i] >= ends[1] and not end[i, 1]
