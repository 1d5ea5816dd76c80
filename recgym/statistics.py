"""How sure a comparison is: intervals over training seeds and users, and the statistics of rliable, written ourselves.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (interquartile
mean, probability of improvement, percentile bootstrap). There the strata are tasks; here column u is the same user
with the same luck for every training seed, so seeds and users are *crossed*: rows and columns are drawn independently
of each other (Owen 2007, "The pigeonhole bootstrap"). Drawing users anew within each seed would count one user seen
by five seeds as five, and give intervals that are too narrow. With few seeds every bootstrap is somewhat too narrow:
with S seeds, the part of the spread that stems from training is understated by about sqrt((S - 1) / S). With one seed
it is left out: the interval then speaks of new users, not of new trainings.

Values are (S, U), S training seeds and U users. NaN means that this user has no such number (nobody came back, no
pair of items to compare); such cells are left out of every mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from recgym.errors import WrongSetting, WrongShape

_CELLS = 4_000_000
"""How many numbers are drawn at once; bounds the memory (32 MB an array)."""

Statistic = Callable[[np.ndarray], float]
"""One number from values (S, U)."""


class Interval(NamedTuple):
    """An estimate and the percentile-bootstrap interval around it; NaN where there is nothing to estimate."""

    mean: float
    low: float
    high: float


def interval(
    values: np.ndarray,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    statistic: Statistic | None = None,
) -> Interval:
    """The mean of `values` (S, U), or another statistic, with its interval over seeds and users.

    Args:
        values: (S, U) numbers, NaN = none.
        level: how much of the bootstrap distribution lies between `low` and `high`.
        resamples: how many times seeds and users are drawn with replacement.
        seed: of the drawing; the same seed gives the same interval.
        statistic: None = the mean, which is fast; others (`interquartile_mean`) are called once per resample.

    Raises:
        WrongShape: values that are not (S, U) with at least one of each, or that hold infinities.
        WrongSetting: a level outside (0, 1), or fewer than 1 resamples.
    """
    values = _checked(values, "values")
    low, high = _tails(level, resamples)
    if statistic is None:
        known = ~np.isnan(values)
        drawn = _weighted_means(np.where(known, values, 0.0), known, resamples, seed)
        centre = float(values[known].mean()) if known.any() else float("nan")
    else:
        drawn = np.array([statistic(part) for part in _draws(values, resamples, seed)])
        centre = float(statistic(values))
    return Interval(centre, *_quantiles(drawn, low, high))


def paired_difference(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of a - b, seed by seed and user by user, with its interval; above 0 = a is larger.

    Users who met the same luck under both cancel out, which makes the interval much narrower than that of two
    separate means. Where one of them has a single row (a policy that is not trained), it is compared with every row.

    Args:
        a: (S, U) or (1, U) numbers.
        b: (S, U) or (1, U) numbers of the same users.
        level: see `interval`.
        resamples: see `interval`.
        seed: see `interval`.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if a.shape[1] != b.shape[1] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise WrongShape(
            f"a has shape {a.shape}, b {b.shape}; pairs need the same users, and the same number of seeds (or one)."
        )
    return interval(a - b, level, resamples, seed)


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half: the floor(n / 4) smallest and as many of the largest are left out, of all n values.

    As robust as the median against a few odd runs, with a smaller error; Agarwal et al. 2021, section 4.3. NaNs do not
    count among the n; NaN if nothing else is there.
    """
    known = np.sort(np.asarray(values, np.float64).ravel())
    known = known[~np.isnan(known)]
    cut = len(known) // 4
    return float(known[cut : len(known) - cut].mean()) if len(known) else float("nan")


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> float:
    """The probability that a training run of `a` is better than one of `b` for a user, averaged over the users.

    mean over users of [P(a > b) + P(a = b) / 2], over all pairs of a row of `a` and a row of `b`; Agarwal et al. 2021,
    section 4.3, with users in the place of tasks. 0.5 = no difference. NaN where no user has numbers in both.

    Args:
        a: (S, U) numbers.
        b: (T, U) numbers of the same users.
    """
    wins, known = _wins(a, b)
    return float(wins[known].mean()) if known.any() else float("nan")


def improvement_interval(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """`probability_of_improvement` with its interval: rows of a, rows of b and users are drawn independently."""
    low, high = _tails(level, resamples)
    wins, known = _wins(a, b)
    drawn = _weighted_means(np.where(known, wins, 0.0), known, resamples, seed)
    return Interval(probability_of_improvement(a, b), *_quantiles(drawn, low, high))


def _wins(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, T, U) float64: 1 where a > b, 0.5 where equal; and where both are numbers."""
    a, b = _checked(a, "a"), _checked(b, "b")
    if a.shape[1] != b.shape[1]:
        raise WrongShape(f"a has {a.shape[1]} users, b {b.shape[1]}; the same users are needed in both.")
    first, second = a[:, None, :], b[None, :, :]
    return (first > second) + 0.5 * (first == second), ~(np.isnan(first) | np.isnan(second))


def _checked(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiub":
        raise WrongShape(
            f"{name} has shape {values.shape}, type {values.dtype}; (S, U) numbers are needed, S training seeds and U "
            "users. Give one run as array[None]."
        )
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise WrongShape(f"{name}[{row}, {column}] is {values[row, column]}; finite numbers or NaN are needed.")
    return values.astype(np.float64)


def _tails(level: float, resamples: int) -> tuple[float, float]:
    if not 0 < level < 1:
        raise WrongSetting(f"level is {level}; it must lie between 0 and 1, for example 0.95.")
    if resamples < 1:
        raise WrongSetting(f"resamples is {resamples}; at least 1 is needed, 2000 are usual.")
    return (1 - level) / 2, (1 + level) / 2


def _quantiles(drawn: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The two quantiles of the statistics drawn; resamples without a single number are left out."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    left, right = np.quantile(drawn, [low, high])
    return float(left), float(right)


def _weighted_means(values: np.ndarray, known: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples,) means, the axes of `values` drawn independently; a draw is how often each index came.

    `values` (S, U) or (S, T, U) with 0 where not `known`. Counting how often each index came, instead of gathering,
    turns all resamples into one matrix product over the users.
    """
    rng = np.random.default_rng(seed)
    *heads, n_users = values.shape
    flat, mask = values.reshape(-1, n_users), known.reshape(-1, n_users).astype(np.float64)
    out = []
    for count in _blocks(resamples, n_users):
        weight = np.ones((count, 1))
        for size in heads:
            drawn = _counts(rng, count, size)
            weight = (weight[:, :, None] * drawn[:, None, :]).reshape(count, -1)
        users = _counts(rng, count, n_users)
        total, size_of = (weight * (users @ flat.T)).sum(axis=1), (weight * (users @ mask.T)).sum(axis=1)
        out.append(np.where(size_of > 0, total / np.where(size_of > 0, size_of, 1), np.nan))
    return np.concatenate(out)


def _blocks(resamples: int, n_users: int) -> Iterator[int]:
    """Sizes of the blocks in which the resamples are drawn."""
    size = max(1, _CELLS // n_users)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _counts(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """(count, size) float64: how often each of `size` indices came in `size` draws with replacement."""
    drawn = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)


def _draws(values: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(S, U) arrays, rows and columns of `values` drawn with replacement."""
    rng = np.random.default_rng(seed)
    n_seeds, n_users = values.shape
    for _ in range(resamples):
        yield values[rng.integers(n_seeds, size=n_seeds)][:, rng.integers(n_users, size=n_users)]
