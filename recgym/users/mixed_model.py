"""A linear mixed model of an engagement score: users, tastes and items, estimated by Gibbs sampling.

The score of a row of user i and item j is

    z = m_i + u_i + t_i . x_j + v_j + e,      m_i = c . profile_i,
    u ~ N(0, user), t ~ N(0, taste / d I), v ~ N(0, item), e ~ N(0, noise),

with x_j the content vector of the item, scaled to length sqrt(d). Of a score only the interval is known in which it
lies (an ordered probit model); the score is drawn anew in every sweep (Albert and Chib, 1993, "Bayesian analysis of
binary and polychotomous response data"). User effect and taste of a person are drawn jointly. Variances are drawn
twice a sweep, once given the effects and once given the standardised effects (the interleaving of Yu and Meng, 2011,
"To center or not to center"): without the second draw the taste variance would hardly move, since few rows say
little about sixteen numbers a person. Chance comes from one generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from recgym.users.mixed_model_kernels import covariances, draw_users

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done, 0 to 1."""


class ScoreRows(NamedTuple):
    """The data. n rows, U users, N items, d coordinates, P profile columns.

    low, high: (n,) float64, low < score < high; -inf and inf are allowed. user, item: (n,) int64 rows of the
    population and the catalogue.
    content: (N, d) float64, of length sqrt(d). profile: (U, P) float64, column 0 is all ones.
    """

    low: np.ndarray
    high: np.ndarray
    user: np.ndarray
    item: np.ndarray
    content: np.ndarray
    profile: np.ndarray


class Variances(NamedTuple):
    """Variance components of the score; `taste` is that of t . x for an x of length sqrt(d)."""

    user: float
    taste: float
    item: float
    noise: float


@dataclass(frozen=True, eq=False)
class ScoreFit:
    """What is known of users and items after the rows were seen.

    variances: posterior means. coefficient: (P,) posterior mean of c.
    user: (U, 1 + d) the last draw of m + u and t, prior draws for users without rows.
    item: (N,) the last draw of v, prior draws for items without rows.
    user_mean: (U, 1 + d) posterior means. user_covariance: (S, (1 + d)(2 + d) / 2) lower triangles row by row, for
    the S users with rows, `seen`. item_mean, item_variance: (N,).
    """

    variances: Variances
    coefficient: np.ndarray
    user: np.ndarray
    item: np.ndarray
    user_mean: np.ndarray
    user_covariance: np.ndarray
    seen: np.ndarray
    item_mean: np.ndarray
    item_variance: np.ndarray


class _Groups(NamedTuple):
    """Rows of each group: order[start[g] : start[g + 1]]."""

    order: np.ndarray
    start: np.ndarray


def fit_score(
    rows: ScoreRows, begin: Variances, sweeps: int, burn_in: int, rng: np.random.Generator, progress: Progress,
    taste: float | None = None,
) -> ScoreFit:  # fmt: skip
    """Draw `sweeps` times from the posterior, the first `burn_in` thrown away.

    Args:
        rows: the data; at least one row.
        begin: variances to start from.
        sweeps: sweeps in all.
        burn_in: the first ones, not counted.
        rng: the chance.
        progress: told after each sweep.
        taste: the standard deviation of t . x where it is not to be estimated.
    """
    state = _State(rows, begin, rng, taste)
    for sweep in range(sweeps):
        state.sweep(count=sweep >= burn_in)
        progress("watch model", (sweep + 1) / sweeps)
    return state.result()


class _State:
    """Where the sampler stands, and the sums of what it drew after the burn-in."""

    def __init__(self, rows: ScoreRows, begin: Variances, rng: np.random.Generator, taste: float | None) -> None:
        self.rows, self.v, self.rng, self.taste = rows, begin, rng, taste
        self.n_users, self.n_items = len(rows.profile), len(rows.content)
        self.d = rows.content.shape[1]
        self.by_user = groups(rows.user, self.n_users)
        self.by_item = groups(rows.item, self.n_items)
        self.user_rows = np.diff(self.by_user.start)
        self.item_rows = np.diff(self.by_item.start)
        self.seen = np.flatnonzero(self.user_rows)
        self.shown = np.flatnonzero(self.item_rows)
        self.user = np.zeros((self.n_users, 1 + self.d))
        self.item = np.zeros(self.n_items)
        self.coefficient = np.zeros(rows.profile.shape[1])
        self.score = np.zeros(len(rows.low))
        self.counted = 0
        shape = (self.n_users, 1 + self.d)
        self.user_sum, self.user_square = np.zeros(shape), np.zeros(shape)
        self.item_sum, self.item_square = np.zeros(self.n_items), np.zeros(self.n_items)
        self.number_sum = np.zeros(4 + len(self.coefficient))

    def sweep(self, count: bool) -> None:
        """Draw everything once; add it to the sums if it is to be counted."""
        self._draw_scores()
        mean = self._draw_users()
        self._draw_coefficient()
        item_mean = self._draw_items()
        self._draw_variances()
        if count:
            self.counted += 1
            self.user_sum += mean
            self.user_square += mean**2
            self.item_sum += item_mean
            self.item_square += item_mean**2
            self.number_sum += np.concatenate([self.v, self.coefficient])

    def _draw_scores(self) -> None:
        """New scores inside their intervals; the tails are drawn from their own side, where numbers are precise."""
        mean, sd = self._user_part() + self.item[self.rows.item], np.sqrt(self.v.noise)
        low, high = (self.rows.low - mean) / sd, (self.rows.high - mean) / sd
        sign = np.where(low > 0, -1.0, 1.0)
        a, b = ndtr(np.where(sign < 0, -high, low)), ndtr(np.where(sign < 0, -low, high))
        drawn = ndtri(np.maximum(a + (b - a) * self.rng.random(len(mean)), 1e-300))
        self.score = mean + sd * np.clip(sign * drawn, low, high)

    def _draw_users(self) -> np.ndarray:
        """New users; returns their conditional means (U, 1 + d)."""
        mean = np.empty_like(self.user)
        prior = self.rows.profile @ self.coefficient
        normal = np.asarray(self.rng.standard_normal(self.user.shape))
        left = self.score - self.item[self.rows.item]
        order, start = self.by_user
        draw_users(self.user, mean, left, self.rows.item, self.rows.content, order, start, prior, self._precision(),
                   1 / self.v.noise, normal)  # fmt: skip
        return mean

    def _precision(self) -> np.ndarray:
        return np.concatenate([[1 / self.v.user], np.full(self.d, self.d / self.v.taste)])

    def _draw_coefficient(self) -> None:
        x, u = self.rows.profile[self.seen], self.user[self.seen, 0]
        precision = x.T @ x / self.v.user + np.diag(np.where(np.arange(x.shape[1]) == 0, 1e-6, 4.0))
        chol = np.linalg.cholesky(precision)
        mean = np.linalg.solve(precision, x.T @ u / self.v.user)
        self.coefficient = mean + np.linalg.solve(chol.T, self.rng.standard_normal(len(mean)))

    def _draw_items(self) -> np.ndarray:
        """New items; returns their conditional means (N,)."""
        left = self.score - self._user_part()
        precision = self.item_rows / self.v.noise + 1 / self.v.item
        mean = np.bincount(self.rows.item, left, self.n_items) / self.v.noise / precision
        self.item = mean + self.rng.standard_normal(self.n_items) / np.sqrt(precision)
        return mean

    def _user_part(self) -> np.ndarray:
        return np.asarray(self.user[self.rows.user, 0] + self._taste_part())

    def _taste_part(self) -> np.ndarray:
        return np.asarray(np.einsum("rc,rc->r", self.user[self.rows.user, 1:], self.rows.content[self.rows.item]))

    def _draw_variances(self) -> None:
        """Variances given the effects, then again given the standardised effects, which scales the effects."""
        prior = self.rows.profile @ self.coefficient
        deviation = self.user[self.seen, 0] - prior[self.seen]
        user = self._scaled_chi_square(np.sum(deviation**2), len(self.seen))
        tastes = self.user[self.seen, 1:]
        taste = self._scaled_chi_square(self.d * np.sum(tastes**2), tastes.size)
        item = self._scaled_chi_square(np.sum(self.item[self.shown] ** 2), len(self.shown))
        parts = np.array([self.user[self.rows.user, 0] - prior[self.rows.user], self._taste_part(),
                          self.item[self.rows.item]])  # fmt: skip
        left = self.score - prior[self.rows.user] - parts.sum(axis=0)
        scale = np.ones(3)
        for k, part in enumerate(parts):
            left += part
            square = float(part @ part) + 1e-12
            scale[k] = part @ left / square + self.rng.standard_normal() * np.sqrt(self.v.noise / square)
            left -= scale[k] * part
        if self.taste is not None:
            left += (scale[1] - 1) * parts[1]
            taste, scale[1] = max(self.taste**2, 1e-6), 1.0
        noise = self._scaled_chi_square(float(left @ left), len(left))
        self.user[:, 0] = prior + scale[0] * (self.user[:, 0] - prior)
        self.user[:, 1:] *= scale[1]
        self.item *= scale[2]
        user, taste, item = np.maximum(np.array([user, taste, item]) * scale**2, 1e-6).tolist()
        self.v = Variances(user, taste, item, noise)

    def _scaled_chi_square(self, square_sum: float, count: int) -> float:
        """One draw of a variance: inverse-gamma with a prior worth one observation of 0.01."""
        return float((square_sum + 0.01) / self.rng.chisquare(count + 1))

    def result(self) -> ScoreFit:
        """Posterior means over the counted sweeps; covariances are the conditional ones plus the spread of means."""
        numbers = self.number_sum / self.counted
        self.v, self.coefficient = Variances(*numbers[:4].tolist()), numbers[4:]
        user_mean = self.user_sum / self.counted
        spread = np.maximum(self.user_square / self.counted - user_mean**2, 0)
        item_mean = self.item_sum / self.counted
        item_spread = np.maximum(self.item_square / self.counted - item_mean**2, 0)
        p = 1 + self.d
        covariance = np.empty((len(self.seen), p * (p + 1) // 2))
        order, start = self.by_user
        covariances(covariance, self.seen, spread, self.rows.item, self.rows.content, order, start, self._precision(),
                    1 / self.v.noise)  # fmt: skip
        unseen = self.user_rows == 0
        user_mean[unseen] = 0
        user_mean[unseen, 0] = self.rows.profile[unseen] @ self.coefficient
        item_mean[self.item_rows == 0] = 0
        return ScoreFit(
            variances=self.v, coefficient=self.coefficient, user=self.user, item=self.item, user_mean=user_mean,
            user_covariance=covariance, seen=self.seen, item_mean=item_mean,
            item_variance=1 / (self.item_rows / self.v.noise + 1 / self.v.item) + item_spread * (self.item_rows > 0),
        )  # fmt: skip


def groups(label: np.ndarray, n: int) -> _Groups:
    """The rows of each of n groups, in their order."""
    order = np.argsort(label, kind="stable")
    return _Groups(order, np.concatenate([[0], np.cumsum(np.bincount(label, minlength=n))]).astype(np.int64))
