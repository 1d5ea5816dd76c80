"""Exact top-k of many items for many users, the same bits for one user alone as for a thousand together."""

from __future__ import annotations

import numpy as np

from recgym.compiled import compiled

_BLOCK = 1024


@compiled
def _insert(best: np.ndarray, where: np.ndarray, k: int, score: float, x: int) -> None:
    """Put item x into the sorted list `best` (falling) if it belongs there; an equal score stays behind."""
    if not score > best[k - 1]:
        return
    j = k - 1
    while j > 0 and score > best[j - 1]:
        best[j] = best[j - 1]
        where[j] = where[j - 1]
        j -= 1
    best[j] = score
    where[j] = x


@compiled
def _top_k_query(query: np.ndarray, columns: np.ndarray, k: int, out: np.ndarray) -> None:
    n, d = query.shape
    size = columns.shape[1]
    score = np.empty(_BLOCK, np.float32)
    best = np.empty(k, np.float32)
    for i in range(n):
        best[:] = -np.inf
        where = out[i]  # a view made once: made per item it costs 30 ns each, 25 times the whole scan
        where[:] = 0
        for start in range(0, size, _BLOCK):
            width = min(_BLOCK, size - start)
            block = score[:width]
            block[:] = np.float32(0.0)
            for c in range(d):
                q = query[i, c]
                row = columns[c, start : start + width]
                for j in range(width):
                    block[j] += q * row[j]
            for j in range(width):
                if block[j] > best[k - 1]:
                    _insert(best, where, k, block[j], start + j)


@compiled
def _top_k_scores(score: np.ndarray, k: int, out: np.ndarray) -> None:
    best = np.empty(k, score.dtype)
    for i in range(score.shape[0]):
        best[:] = -np.inf
        where = out[i]
        where[:] = 0
        for j in range(score.shape[1]):
            if score[i, j] > best[k - 1]:
                _insert(best, where, k, score[i, j], j)


def top_k_of_query(query: np.ndarray, columns: np.ndarray, k: int) -> np.ndarray:
    """(n, k) int32: the k items whose vectors have the largest dot product with each query, best first.

    Args:
        query: (n, d) float32.
        columns: (d, N) float32, contiguous: the item vectors, transposed. Ties go to the smaller item number.
        k: at most N.
    """
    out = np.empty((len(query), k), np.int32)
    _top_k_query(np.ascontiguousarray(query, np.float32), columns, k, out)
    return out


def top_k_of_scores(score: np.ndarray, k: int) -> np.ndarray:
    """(n, k) int32: positions of the k largest scores of each row of `score` (n, m), best first; ties to the left."""
    out = np.empty((len(score), k), np.int32)
    _top_k_scores(score, k, out)
    return out
