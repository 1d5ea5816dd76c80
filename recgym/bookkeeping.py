"""What begins with an episode and what a step leaves behind: time, history, signals, reward, who is done. Compiled.

All arrays are changed in place and come one by one: reading them out of a tuple for every row costs more than the
arithmetic, and a tuple doubles the price of the call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recgym.compiled import compiled
from recgym.noise import draw_name, step_key, uniform_at, user_key
from recgym.objective import total_rows
from recgym.observation import push_rows

_SECONDS_BETWEEN_ITEMS = 1.0
_HOUR, _USER = draw_name("hour"), draw_name("user")
_HOUR_SHARE = np.array([37, 21, 13, 9, 7, 8, 17, 28, 34, 38, 42, 46, 55, 55, 46, 46, 50, 55, 58, 60, 65, 72, 76, 61.0])
_HOUR_CDF = np.cumsum(_HOUR_SHARE) / _HOUR_SHARE.sum()


class Outcome(NamedTuple):
    """What a step is found to have brought; filled in by `account_rows`.

    total: (n, T) float64, see `recgym.objective.signal_names`. reward: (n,) float64. end: (n, 3) bool: the visit ended,
    the user left for good, we stop watching.
    """

    total: np.ndarray
    reward: np.ndarray
    end: np.ndarray


@compiled
def begin_rows(
    rows: np.ndarray,
    seed: np.ndarray,
    episode: np.ndarray,
    key: np.ndarray,
    step: np.ndarray,
    user: np.ndarray,
    n_users: int,
    visit: np.ndarray,
    clock_h: np.ndarray,
    days_away: np.ndarray,
    seconds_watched: np.ndarray,
    ring_item: np.ndarray,
    ring_watch: np.ndarray,
    ring_feedback: np.ndarray,
    table: np.ndarray,
    count: np.ndarray,
) -> None:
    """Set these rows to the start of their episode; the person is drawn unless n_users is 0.

    The hour of day is drawn from the published shares of exposures per hour (datasets note, 2.5).
    """
    for r in range(len(rows)):
        i = rows[r]
        key[i] = user_key(seed[i], episode[i])
        at = step_key(key[i], -1)
        if n_users > 0:
            user[i] = min(int(uniform_at(at, _USER, 0) * n_users), n_users - 1)
        u = uniform_at(at, _HOUR, 0)
        hour = 0
        while hour < 23 and u >= _HOUR_CDF[hour]:
            hour += 1
        clock_h[i] = hour + uniform_at(at, _HOUR, 1)
        step[i] = 0
        visit[i] = 0
        days_away[i] = 0.0
        seconds_watched[i] = 0.0
        count[i] = 0
        ring_item[i, :] = -1
        ring_watch[i, :] = 0.0
        ring_feedback[i, :, :] = False
        table[i, :] = 0.0


@compiled
def account_rows(
    start: int,
    stop: int,
    total: np.ndarray,
    reward: np.ndarray,
    end: np.ndarray,
    step: np.ndarray,
    visit: np.ndarray,
    clock_h: np.ndarray,
    seconds_watched: np.ndarray,
    session: np.ndarray,
    ring_item: np.ndarray,
    ring_watch: np.ndarray,
    ring_feedback: np.ndarray,
    table: np.ndarray,
    count: np.ndarray,
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    vector: np.ndarray,
    duration: np.ndarray,
    log_duration: np.ndarray,
    weights: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Book the answers of some users, whose `end[:, 0]` is known; `ends` holds an episode's visits and steps."""
    push_rows(start, stop, table, ring_item, ring_watch, ring_feedback, count, item, watch, feedback, vector, duration,
              log_duration)  # fmt: skip
    total_rows(start, stop, total, reward, watch, feedback, end, session, weights)
    pause = np.float32(_SECONDS_BETWEEN_ITEMS * item.shape[1])
    for i in range(start, stop):
        seconds = np.float32(total[i, 0])
        seconds_watched[i] += seconds
        clock_h[i] += (seconds + pause) / 3600.0
        step[i] += 1
        if end[i, 0]:
            visit[i] += 1
        end[i, 1] = end[i, 0] and visit[i] >= ends[0]
        end[i, 2] = step[i] >= ends[1] and not end[i, 1]
