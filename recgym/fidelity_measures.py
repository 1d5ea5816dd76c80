"""What real and simulated rows are compared by, as pure functions: rates, quantiles, agreement, calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class Reliability(NamedTuple):
    """How often things happen that were given a probability, in bins of equal numbers of rows.

    predicted, happened: (bins,) means in each bin. rows: (bins,). ece: mean of |predicted - happened| over rows.
    """

    predicted: np.ndarray
    happened: np.ndarray
    rows: np.ndarray
    ece: float


def reliability(probability: np.ndarray, happened: np.ndarray, bins: int = 15) -> Reliability:
    """Expected calibration error with `bins` bins of equal mass (Nguyen and O'Connor 2015, "Posterior calibration").

    Args:
        probability: (n,) predicted. Rows of one probability are kept in one bin where they begin.
        happened: (n,) bool.
        bins: at most n of them are used.
    """
    order = np.argsort(probability, kind="stable")
    p, y = probability[order].astype(float), happened[order].astype(float)
    bin_of = np.arange(len(p)) * min(bins, len(p)) // max(len(p), 1)
    first = np.searchsorted(p, p, side="left")
    bin_of = np.unique(bin_of[first], return_inverse=True)[1]
    rows = np.bincount(bin_of)
    predicted, real = np.bincount(bin_of, p) / rows, np.bincount(bin_of, y) / rows
    return Reliability(predicted, real, rows, float((rows * np.abs(predicted - real)).sum() / len(p)))


def auc(probability: np.ndarray, happened: np.ndarray) -> float:
    """Chance that a row that happened has the larger probability than one that did not; ties count half.

    NaN where all or none happened.
    """
    positives = int(happened.sum())
    negatives = len(happened) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(probability)[happened].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def intraclass_correlation(value: np.ndarray, group: np.ndarray) -> float:
    """How alike the rows of one group are: the one-way ANOVA estimator for groups of unequal size.

    (B - W) / (B + (n0 - 1) W), B and W the mean squares between and within groups, n0 = (n - sum n_g^2 / n) / (k - 1)
    (Donner 1986). It may be slightly negative; NaN without variance or with fewer than two groups.
    """
    _, number = np.unique(group, return_inverse=True)
    size = np.bincount(number)
    n, k = len(value), len(size)
    if k < 2 or n <= k:
        return float("nan")
    mean = np.bincount(number, value.astype(float)) / size
    between = float((size * (mean - value.mean()) ** 2).sum()) / (k - 1)
    within = float(((value - mean[number]) ** 2).sum()) / (n - k)
    n0 = (n - (size.astype(float) ** 2).sum() / n) / (k - 1)
    total = between + (n0 - 1) * within
    return (between - within) / total if total > 0 else float("nan")


def phi(first: np.ndarray, second: np.ndarray) -> float:
    """The correlation of two yes/no columns (n,); NaN where one of them never changes."""
    a, b = float(first.mean()), float(second.mean())
    variance = a * (1 - a) * b * (1 - b)
    return float((first & second).mean() - a * b) / float(np.sqrt(variance)) if variance > 0 else float("nan")


def together(columns: np.ndarray) -> np.ndarray:
    """(F, F) share of the rows with feedback i that have feedback j; NaN where none has i. columns: (n, F) bool."""
    counts = columns.astype(float).T @ columns.astype(float)
    given = np.diag(counts)[:, None]
    return np.asarray(np.divide(counts, given, out=np.full_like(counts, np.nan), where=given > 0))


class UserResamples:
    """The rows of users drawn with replacement: what another sample of as many people would have shown.

    Args:
        user: (n,) whose row it is.
        resamples: how many draws.
        seed: of the draws.
    """

    def __init__(self, user: np.ndarray, resamples: int, seed: int) -> None:
        people, self.owner = np.unique(user, return_inverse=True)
        self.n_users = len(people)
        rng = np.random.default_rng([seed, 41])
        self.times = np.empty((resamples, self.n_users), np.float32)
        for row in self.times:
            row[:] = np.bincount(rng.integers(self.n_users, size=self.n_users), minlength=self.n_users)

    def ratios(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        """(resamples,) sums of numerator over sums of denominator, both (n,); NaN where the denominator is 0."""
        top = self.times @ np.bincount(self.owner, numerator, self.n_users)
        bottom = self.times @ np.bincount(self.owner, denominator, self.n_users)
        return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))

    def quantiles(self, value: np.ndarray, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(resamples, Q) quantiles `at` (Q,) of the values (n,) in some rows ((m,) row numbers)."""
        order = rows[np.argsort(value[rows], kind="stable")]
        values, owner = value[order], self.owner[order]
        out = np.empty((len(self.times), len(at)))
        for b, times in enumerate(self.times):
            mass = np.cumsum(times[owner])
            out[b] = values[np.searchsorted(mass, at * mass[-1]).clip(max=len(values) - 1)]
        return out


def interval_95(samples: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the samples that are not NaN; NaN if none is left."""
    known = samples[~np.isnan(samples)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)
