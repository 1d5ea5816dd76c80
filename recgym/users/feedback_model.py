"""A logistic model of one rare yes/no feedback with crossed effects of users and items, by Gibbs sampling.

The log-odds of a row are X w + s_user z_user + s_item z_item with standard normal z. Given w and the scales, each z
is drawn from its posterior on a grid (rows of one user multiply up, so a user with few rows and no event keeps
nearly all of the prior: no normal approximation is made where it would be wrong). Given the z's, w and the scales
are the weights of a plain logistic regression with normal priors and are drawn from its normal approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from recgym.compiled import compiled
from recgym.users.mixed_model import groups

GRID: Final = np.arange(-16, 17) * 0.25
"""Values of a standard normal effect that are weighed against each other."""

_SMALLEST_SCALE = 0.05


class FeedbackRows(NamedTuple):
    """The data. n rows, U users, N items, W weights.

    given: (n,) bool. user, item: (n,) int64. feature: (n, W) float64.
    weight_mean, weight_sd: (W + 2,) float64: normal priors of the weights and, at the end, of the user and item scale.
    """

    given: np.ndarray
    user: np.ndarray
    item: np.ndarray
    feature: np.ndarray
    weight_mean: np.ndarray
    weight_sd: np.ndarray
    n_users: int
    n_items: int


@dataclass(frozen=True, eq=False)
class FeedbackFit:
    """What is known after the rows were seen.

    weight: (W,) posterior means. user_scale, item_scale: posterior means, log-odds.
    user, item: (U,), (N,) the last draw of z, prior draws where there are no rows.
    user_mean, user_variance, item_mean, item_variance: of z, over the posterior.
    """

    weight: np.ndarray
    user_scale: float
    item_scale: float
    user: np.ndarray
    item: np.ndarray
    user_mean: np.ndarray
    user_variance: np.ndarray
    item_mean: np.ndarray
    item_variance: np.ndarray


def fit_feedback(rows: FeedbackRows, sweeps: int, burn_in: int, rng: np.random.Generator) -> FeedbackFit:
    """Draw `sweeps` times from the posterior, the first `burn_in` thrown away."""
    by_user, by_item = groups(rows.user, rows.n_users), groups(rows.item, rows.n_items)
    effects = [np.zeros(rows.n_users), np.zeros(rows.n_items)]
    sums = [np.zeros((2, rows.n_users)), np.zeros((2, rows.n_items))]
    weight = rows.weight_mean.copy()
    total = np.zeros(len(weight))
    x = np.column_stack([rows.feature, np.zeros((len(rows.given), 2))])
    given = rows.given.astype(np.float64)
    for sweep in range(sweeps):
        for k, (label, group) in enumerate(((rows.user, by_user), (rows.item, by_item))):
            column = rows.feature.shape[1] + k
            x[:, column] = 0
            moments = np.empty((2, len(effects[k])))
            _effects(effects[k], moments, np.exp(x @ weight), given, *group, weight[column] * GRID, GRID,
                     rng.random((2, len(effects[k]))))  # fmt: skip
            x[:, column] = effects[k][label]
            if sweep >= burn_in:
                sums[k] += moments
        weight = _draw_weights(x, given, weight, rows, rng, steps=4 if sweep == 0 else 1)
        total += weight * (sweep >= burn_in)
    counted = sweeps - burn_in
    (user_mean, user_square), (item_mean, item_square) = (s / counted for s in sums)
    return FeedbackFit(
        weight=total[:-2] / counted, user_scale=float(total[-2] / counted), item_scale=float(total[-1] / counted),
        user=effects[0], item=effects[1], user_mean=user_mean, user_variance=user_square - user_mean**2,
        item_mean=item_mean, item_variance=item_square - item_mean**2,
    )  # fmt: skip


def _draw_weights(
    x: np.ndarray, given: np.ndarray, weight: np.ndarray, rows: FeedbackRows, rng: np.random.Generator, steps: int
) -> np.ndarray:
    """Weights and scales from the normal approximation of their posterior, Newton's method starting at `weight`."""
    prior = rows.weight_sd**-2.0
    precision = np.diag(prior)
    for _ in range(steps):
        gradient = np.zeros(len(weight))
        precision = np.zeros((len(weight), len(weight)))
        _slopes(gradient, precision, x, given, weight)
        precision += np.tril(precision, -1).T + np.diag(prior)
        move = np.linalg.solve(precision, gradient - prior * (weight - rows.weight_mean))
        weight = weight + np.clip(move, -2, 2)
    chol = np.linalg.cholesky(precision)
    weight = weight + np.linalg.solve(chol.T, rng.standard_normal(len(weight)))
    weight[-2:] = np.maximum(weight[-2:], _SMALLEST_SCALE)
    return np.asarray(weight)


@compiled
def _slopes(gradient: np.ndarray, precision: np.ndarray, x: np.ndarray, given: np.ndarray, weight: np.ndarray) -> None:
    """Add the log-likelihood's first derivatives to gradient (W,), minus its second to precision (lower triangle)."""
    used = np.empty(x.shape[1], np.int64)
    for r in range(len(x)):
        count, logit = 0, 0.0
        for c in range(x.shape[1]):
            if x[r, c] != 0.0:
                used[count] = c
                count += 1
                logit += x[r, c] * weight[c]
        p = 1.0 / (1.0 + np.exp(-logit))
        for i in range(count):
            a = used[i]
            gradient[a] += (given[r] - p) * x[r, a]
            part = p * (1.0 - p) * x[r, a]
            for j in range(i + 1):
                precision[a, used[j]] += part * x[r, used[j]]


@compiled
def _effects(
    effect: np.ndarray, moments: np.ndarray, odds: np.ndarray, given: np.ndarray, order: np.ndarray, start: np.ndarray,
    shift: np.ndarray, grid: np.ndarray, luck: np.ndarray,
) -> None:  # fmt: skip
    """Draw each group's standard effect on the grid; moments gets its conditional mean and mean square.

    odds: (n,) exp of the log-odds without this effect. shift: (G,) log-odds at each grid value. luck: (2, groups).
    """
    count = len(grid)
    factor = np.exp(shift)
    product = np.empty(count)
    log_weight = np.empty(count)
    for g in range(len(effect)):
        events = 0.0
        product[:] = 1.0
        for q in range(count):
            log_weight[q] = -0.5 * grid[q] * grid[q]
        for at in range(start[g], start[g + 1]):
            r = order[at]
            events += given[r]
            for q in range(count):
                product[q] *= 1.0 + odds[r] * factor[q]
            if (at - start[g]) % 8 == 7:
                for q in range(count):
                    log_weight[q] -= np.log(product[q])
                    product[q] = 1.0
        largest = -np.inf
        for q in range(count):
            log_weight[q] += events * shift[q] - np.log(product[q])
            largest = max(largest, log_weight[q])
        total = mean = square = 0.0
        for q in range(count):
            product[q] = np.exp(log_weight[q] - largest)
            total += product[q]
            mean += product[q] * grid[q]
            square += product[q] * grid[q] * grid[q]
        wanted, q = luck[0, g] * total, 0
        while q < count - 1 and wanted > product[q]:
            wanted -= product[q]
            q += 1
        effect[g] = grid[q] + (luck[1, g] - 0.5) * (grid[1] - grid[0])
        moments[0, g] = mean / total
        moments[1, g] = square / total
