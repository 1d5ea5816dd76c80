"""What is counted, as pure functions: per user from his own exposures, per catalogue from everybody's.

Exposures come as arrays (rows,), those of one user together and in the order of time; `owner` (rows,) int64 says whose
each is, 0 .. n_users - 1. A user's number depends on that user's rows alone, bit for bit.
"""

from __future__ import annotations

import numpy as np

from recgym.compiled import compiled
from recgym.errors import WrongSetting, WrongShape

WINDOW = 20
"""How many items shown one after the other are looked at together by `intra_list_diversity`."""


def per_user_sum(value: np.ndarray, owner: np.ndarray, n_users: int) -> np.ndarray:
    """(n_users,) float64: the sum of each user's values (rows,), 0 for a user without rows."""
    return np.asarray(np.bincount(owner, value.astype(np.float64), n_users))


def per_user_mean(value: np.ndarray, owner: np.ndarray, n_users: int) -> np.ndarray:
    """(n_users,) float64: the mean of each user's values (rows,) that are not NaN; NaN for a user without any."""
    known = ~np.isnan(value)
    return ratio(per_user_sum(value[known], owner[known], n_users), per_user_sum(known[known], owner[known], n_users))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Numerator / denominator, float64, NaN where the denominator is 0."""
    some = denominator != 0
    return np.where(some, numerator / np.where(some, denominator, 1), np.nan)


def intra_list_diversity(item: np.ndarray, owner: np.ndarray, n_users: int, vector: np.ndarray) -> np.ndarray:
    """(n_users,) float64: how unlike each other the items are that a user saw close together.

    The mean of 1 - cosine over all pairs of exposures of a user that ever stood together in the last-20 window, that
    is, with at most 18 others between them; each pair counts once. 0 = the same direction over and over, 1 =
    unrelated on average, at most 2. NaN for a user with fewer than two exposures; an item whose vector is all zero
    counts as unrelated to every other. Source: one minus the intra-list similarity of Ziegler et al. 2005 ("Improving
    recommendation lists through topic diversification"), as a mean, and over a moving window.

    Args:
        item: (rows,) int, item numbers.
        owner: (rows,) int64, not decreasing.
        n_users: how many users.
        vector: (N, d) float32, the items' vectors.
    """
    _check_together(owner)
    length = np.sqrt((vector.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    unit = vector / np.where(length > 0, length, 1)
    total, pairs = np.zeros(n_users), np.zeros(n_users)
    _add_pairs(total, pairs, item.astype(np.int64), owner.astype(np.int64), unit)
    return ratio(total, pairs)


@compiled
def _add_pairs(
    total: np.ndarray, pairs: np.ndarray, item: np.ndarray, owner: np.ndarray, unit: np.ndarray
) -> None:  # pragma: no cover - compiled
    for i in range(len(item)):
        for j in range(max(i - WINDOW + 1, 0), i):
            if owner[j] == owner[i]:
                cosine = 0.0
                for c in range(unit.shape[1]):
                    cosine += unit[item[i], c] * unit[item[j], c]
                total[owner[i]] += 1.0 - cosine
                pairs[owner[i]] += 1.0


def novelty_bits(item: np.ndarray, owner: np.ndarray, n_users: int, popularity: np.ndarray) -> np.ndarray:
    """(n_users,) float64: mean self-information -log2(share) of what each user was shown; NaN without exposures.

    Source: Zhou et al. 2010 ("Solving the apparent diversity-accuracy dilemma of recommender systems"), the surprisal.

    Args:
        item: (rows,) int, item numbers.
        owner: (rows,) int64.
        n_users: how many users.
        popularity: (N,) numbers above 0 that are proportional to how often each item is seen elsewhere (see
            `checked_popularity`).
    """
    bits = -np.log2(popularity.astype(np.float64) / popularity.sum(dtype=np.float64))
    return per_user_mean(bits[item], owner, n_users)


def checked_popularity(popularity: np.ndarray, n_items: int) -> np.ndarray:
    """The (N,) float64 popularity; refuses other shapes and items whose surprise would be infinite.

    Raises:
        WrongShape: not one number per item.
        WrongSetting: a number that is not finite and above 0.
    """
    popularity = np.asarray(popularity)
    if popularity.shape != (n_items,) or popularity.dtype.kind not in "fiu":
        raise WrongShape(
            f"popularity has shape {popularity.shape}, type {popularity.dtype}; ({n_items},) numbers are needed, "
            "one per item of the catalogue."
        )
    wrong = ~(np.isfinite(popularity) & (popularity > 0))
    if wrong.any():
        item = int(wrong.argmax())
        raise WrongSetting(
            f"popularity[{item}] is {popularity[item]} ({int(wrong.sum())} of {n_items} items are affected); an item "
            "that is never seen would be infinitely novel. Give finite numbers above 0, for example counts + 1."
        )
    return popularity.astype(np.float64)


def coverage(exposures: np.ndarray) -> float:
    """Share of the catalogue that was shown to anybody; `exposures` (N,) counts how often each item was."""
    return float((exposures > 0).mean())


def gini(exposures: np.ndarray) -> float:
    """Gini coefficient of the exposures (N,) over all items: 0 = all alike, (N - 1) / N = one item gets everything.

    sum_i (2 i - N - 1) x_i / (N sum x) with x rising, i = 1 .. N: half the mean absolute difference over the mean.
    NaN where nothing was shown.
    """
    rising = np.sort(exposures.astype(np.float64))
    n, total = len(rising), rising.sum()
    weight = 2 * np.arange(1, n + 1) - n - 1
    return float((weight * rising).sum() / (n * total)) if total > 0 else float("nan")


def _check_together(owner: np.ndarray) -> None:
    wrong = np.flatnonzero(owner[1:] < owner[:-1])
    if len(wrong):
        raise WrongShape(f"row {wrong[0] + 1}: owner falls from {owner[wrong[0]]} to {owner[wrong[0] + 1]}; sort rows.")
