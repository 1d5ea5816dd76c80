"""A whole step of calibrated users with `Patience` in one compiled call: answer, leave, change, book.

The loops are those that `CalibratedUsers`, `Patience` and the simulator run one after the other over all rows; here
they run over blocks of users, so that a user's numbers stay in the cache from one to the next. A test holds both
ways to the same bits.
"""

from __future__ import annotations

import numpy as np

from recgym.bookkeeping import account_rows
from recgym.compiled import compiled
from recgym.session import leaves_rows
from recgym.users.calibrated_kernels import change_rows, respond_rows

_BLOCK = 128
_FLOATS_PER_LINE = 16


@compiled
def _touch(start: int, stop: int, item: np.ndarray, items: np.ndarray, vector: np.ndarray) -> float:
    """Read one number of every cache line of the items to come, so that their misses overlap instead of queueing."""
    total = np.float32(0.0)
    for i in range(start, stop):
        for j in range(item.shape[1]):
            x = item[i, j]
            for c in range(0, items.shape[1], _FLOATS_PER_LINE):
                total += items[x, c]
            for c in range(0, vector.shape[1], _FLOATS_PER_LINE):
                total += vector[x, c]
    return float(total)


@compiled
def step(
    taste: np.ndarray,
    trait: np.ndarray,
    recent_tag: np.ndarray,
    recent_item: np.ndarray,
    exposures: np.ndarray,
    shown: np.ndarray,
    items: np.ndarray,
    ratio: np.ndarray,
    watching: np.ndarray,
    patience: np.ndarray,
    hate: int,
    tag: np.ndarray,
    key: np.ndarray,
    numbers: np.ndarray,
    total: np.ndarray,
    reward: np.ndarray,
    end: np.ndarray,
    at: np.ndarray,
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
) -> int:
    """Fill watch, feedback, total, reward and end, and move all state forward in place; returns how many users left."""
    for start in range(0, item.shape[0], _BLOCK):
        stop = min(start + _BLOCK, item.shape[0])
        reward[start] = _touch(
            start, stop, item, items, vector
        )  # overwritten below; keeps the loads from being dropped
        respond_rows(start, stop, watch, feedback, taste, trait, recent_tag, recent_item, exposures, item, items,
                     ratio, watching, key, at)  # fmt: skip
        leaves_rows(start, stop, end, session, patience, item, watch, feedback, hate, tag, duration,
                    key, at, numbers)  # fmt: skip
        change_rows(start, stop, taste, recent_tag, recent_item, exposures, shown, item, watch, items, watching)
        account_rows(start, stop, total, reward, end, at, visit, clock_h, seconds_watched, session, ring_item,
                     ring_watch, ring_feedback, table, count, item, watch, feedback, vector, duration, log_duration,
                     weights, ends)  # fmt: skip
    n_left = 0
    for i in range(item.shape[0]):
        n_left += end[i, 0]
    return n_left
