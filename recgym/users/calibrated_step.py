"""A whole step of calibrated users with `Patience` in one compiled call: answer, leave, change, book.

The loops are those that `CalibratedUsers`, `Patience` and the simulator run one after the other over all rows; here
they run over blocks of users, so that a user's numbers stay in the cache from one to the next. A test holds both
ways to the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from recgym.bookkeeping import account_rows
from recgym.session import leaves_rows
from recgym.users.calibrated_kernels import change_rows, respond_rows

_BLOCK = 128


@njit(cache=True)
def step(
    state: Any,
    items: np.ndarray,
    ratio: np.ndarray,
    watching: np.ndarray,
    patience: np.ndarray,
    hate: int,
    tag: np.ndarray,
    key: np.ndarray,
    numbers: np.ndarray,
    out: Any,
    ledger: Any,
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    vector: np.ndarray,
    duration: np.ndarray,
    weights: np.ndarray,
    ends: np.ndarray,
) -> int:
    """Fill watch, feedback and out, and move all state forward in place; returns how many users left."""
    _, taste, trait, recent_tag, recent_item, exposures, shown = state
    for start in range(0, item.shape[0], _BLOCK):
        stop = min(start + _BLOCK, item.shape[0])
        respond_rows(start, stop, watch, feedback, taste, trait, recent_tag, recent_item, exposures, item, items,
                     ratio, watching, key, ledger.step)  # fmt: skip
        leaves_rows(start, stop, out.end[:, 0], ledger.session, patience, item, watch, feedback, hate, tag, duration,
                    key, ledger.step, numbers)  # fmt: skip
        change_rows(start, stop, taste, recent_tag, recent_item, exposures, shown, item, watch, items, watching)
        account_rows(start, stop, out, ledger, item, watch, feedback, vector, duration, weights, ends)
    n_left = 0
    for i in range(item.shape[0]):
        n_left += out.end[i, 0]
    return n_left
