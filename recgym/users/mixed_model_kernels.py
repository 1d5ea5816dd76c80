"""Compiled loops of `recgym.users.mixed_model`: the small linear systems of each user."""

from __future__ import annotations

import numpy as np

from recgym.compiled import compiled


@compiled
def _precision_of(
    out: np.ndarray, g: int, item: np.ndarray, content: np.ndarray, order: np.ndarray, start: np.ndarray,
    prior_precision: np.ndarray, noise_precision: float,
) -> None:  # fmt: skip
    """out = prior precision + sum of w w' / noise over the rows of user g, w = (1, content); lower triangle."""
    p = len(prior_precision)
    for a in range(p):
        for b in range(a + 1):
            out[a, b] = 0.0
    for at in range(start[g], start[g + 1]):
        x = content[item[order[at]]]
        out[0, 0] += 1.0
        for a in range(1, p):
            out[a, 0] += x[a - 1]
            for b in range(1, a + 1):
                out[a, b] += x[a - 1] * x[b - 1]
    for a in range(p):
        for b in range(a + 1):
            out[a, b] *= noise_precision
        out[a, a] += prior_precision[a]


@compiled
def _cholesky(a: np.ndarray) -> None:
    """The lower Cholesky factor, in place."""
    p = len(a)
    for j in range(p):
        total = a[j, j]
        for k in range(j):
            total -= a[j, k] * a[j, k]
        root = np.sqrt(total)
        a[j, j] = root
        for i in range(j + 1, p):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = total / root


@compiled
def draw_users(
    user: np.ndarray, mean: np.ndarray, left: np.ndarray, item: np.ndarray, content: np.ndarray, order: np.ndarray,
    start: np.ndarray, prior: np.ndarray, prior_precision: np.ndarray, noise_precision: float, normal: np.ndarray,
) -> None:  # fmt: skip
    """Draw user (U, 1 + d) from its normal posterior given the items; mean gets the posterior means.

    left: (n,) scores less the items' effects. order, start: rows of each user. prior: (U,) means of the level.
    normal: (U, 1 + d) standard normal numbers.
    """
    p = len(prior_precision)
    a = np.empty((p, p))
    c = np.empty(p)
    for g in range(len(user)):
        _precision_of(a, g, item, content, order, start, prior_precision, noise_precision)
        _cholesky(a)
        c[:] = 0.0
        for at in range(start[g], start[g + 1]):
            r = order[at]
            x = content[item[r]]
            c[0] += left[r]
            for k in range(1, p):
                c[k] += left[r] * x[k - 1]
        for k in range(p):
            c[k] *= noise_precision
        c[0] += prior[g] * prior_precision[0]
        for i in range(p):
            for k in range(i):
                c[i] -= a[i, k] * c[k]
            c[i] /= a[i, i]
        for i in range(p - 1, -1, -1):
            m, u = c[i], normal[g, i]
            for k in range(i + 1, p):
                m -= a[k, i] * mean[g, k]
                u -= a[k, i] * (user[g, k] - mean[g, k])
            mean[g, i] = m / a[i, i]
            user[g, i] = mean[g, i] + u / a[i, i]


@compiled
def covariances(
    out: np.ndarray, seen: np.ndarray, spread: np.ndarray, item: np.ndarray, content: np.ndarray, order: np.ndarray,
    start: np.ndarray, prior_precision: np.ndarray, noise_precision: float,
) -> None:  # fmt: skip
    """Fill out (S, p (p + 1) / 2): lower triangles of each seen user's conditional covariance, plus spread (U, p)."""
    p = len(prior_precision)
    a = np.empty((p, p))
    inverse = np.empty((p, p))
    for s in range(len(seen)):
        g = seen[s]
        _precision_of(a, g, item, content, order, start, prior_precision, noise_precision)
        _cholesky(a)
        inverse[:, :] = 0.0
        for j in range(p):
            inverse[j, j] = 1.0 / a[j, j]
            for i in range(j + 1, p):
                total = 0.0
                for k in range(j, i):
                    total -= a[i, k] * inverse[k, j]
                inverse[i, j] = total / a[i, i]
        at = 0
        for i in range(p):
            for j in range(i + 1):
                total = 0.0
                for k in range(i, p):
                    total += inverse[k, i] * inverse[k, j]
                if i == j:
                    total += spread[g, i]
                out[s, at] = total
                at += 1
