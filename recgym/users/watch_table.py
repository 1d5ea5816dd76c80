"""From watch ratios to normal scores and back: duration buckets, and the table of ratios by score."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import ndtri

from recgym.feedback import LONG_VIEW_S, VALID_PLAY_S

PUBLISHED_END_S: Final = np.array([10, 15, 25, 40, 60, 90, 120, 180, 240], np.float32)
"""Upper ends of the ten published duration buckets but the last (datasets note, 2.2)."""

PUBLISHED_NAMES: Final = (
    "<=10 s", "10-15 s", "15-25 s", "25-40 s", "40-60 s", "60-90 s", "90-120 s", "120-180 s", "180-240 s", ">240 s",
)  # fmt: skip
"""Names of the ten published duration buckets."""


def bucket_ends(duration_s: np.ndarray, buckets: int, min_rows: int) -> np.ndarray:
    """Upper ends (float32, increasing) of duration buckets but the last, for rows of these durations.

    The ends are those of the published buckets, and inside each of them quantiles, so that there are about `buckets`
    buckets of like size. A bucket with fewer than `min_rows` rows is joined to the smaller of its neighbours.

    Args:
        duration_s: (n,) seconds.
        buckets: about how many buckets.
        min_rows: rows a bucket needs.
    """
    duration = np.asarray(duration_s, np.float32)
    published = np.searchsorted(PUBLISHED_END_S, duration, side="left")
    ends = {float(end) for end in PUBLISHED_END_S}
    for b in np.unique(published):
        inside = duration[published == b]
        pieces = max(round(len(inside) * buckets / len(duration)), 1)
        ends |= set(np.quantile(inside, np.arange(1, pieces) / pieces, method="lower").tolist())
    out = np.array(sorted(end for end in ends if end < duration.max()), np.float32)
    while len(out):
        size = np.bincount(np.searchsorted(out, duration, side="left"), minlength=len(out) + 1)
        small = int(size.argmin())
        if size[small] >= min_rows:
            break
        left, right = size[small - 1] if small else np.inf, size[small + 1] if small < len(out) else np.inf
        out = np.delete(out, small - 1 if left <= right else small)
    return out


def normal_scores(ratio: np.ndarray, bucket: np.ndarray) -> np.ndarray:
    """(n,) float64: the standard normal quantile of each row's mid-rank among the ratios of its bucket.

    Equal ratios share the mean of their ranks.
    """
    out = np.empty(len(ratio))
    for b in np.unique(bucket):
        rows = np.flatnonzero(bucket == b)
        _, place, count = np.unique(ratio[rows], return_inverse=True, return_counts=True)
        below = np.cumsum(count) - count
        out[rows] = ndtri((below[place] + count[place] / 2) / len(rows))
    return out


def score_limits(ratio: np.ndarray, bucket: np.ndarray, duration_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which scores each row lies, if only what was watched is told: no click, click, long view, complete.

    The limits of a row are the normal scores, in its bucket, of the ratios at which its own duration becomes a click, a
    long view and complete. In a bucket where none of them lies between the 20 % and the 80 % quantile, the median
    is a limit too, so that items far longer or shorter than those of a short-video feed tell something.

    Args:
        ratio: (n,) watch time / duration.
        bucket: (n,) duration buckets.
        duration_s: (n,) seconds.

    Returns:
        low, high: (n,) float64, low < high, the outer ones infinite.
    """
    score = normal_scores(ratio, bucket)
    limits = np.column_stack([np.minimum(seconds / duration_s, 1.0) for seconds in (VALID_PLAY_S, LONG_VIEW_S, np.inf)])
    for b in np.unique(bucket):
        rows = np.flatnonzero(bucket == b)
        ordered = np.sort(ratio[rows])
        below = np.searchsorted(ordered, limits[rows], side="left") / len(rows)
        limits[rows] = ndtri(below)
    middle = np.zeros(len(score))
    for b in np.unique(bucket):
        rows = bucket == b
        telling = (np.abs(np.median(limits[rows], axis=0)) < ndtri(0.8)).any()
        middle[rows] = limits[rows, 0] if telling else 0.0
    cuts = np.column_stack([limits, middle])
    low = np.where(cuts < score[:, None], cuts, -np.inf).max(axis=1)
    high = np.where(cuts < score[:, None], np.inf, cuts).min(axis=1)
    return low, high


def ratio_table(
    score: np.ndarray, score_bucket: np.ndarray, ratio: np.ndarray, ratio_bucket: np.ndarray, grid: np.ndarray, n: int
) -> np.ndarray:
    """(n, G) float32: the table that gives scores the ratios of the same rank in their bucket.

    Args:
        score: (m,) simulated scores.
        score_bucket: (m,) their buckets; each bucket needs a score and a ratio.
        ratio: (k,) logged ratios.
        ratio_bucket: (k,) their buckets.
        grid: (G,) the score of each column.
        n: number of buckets.
    """
    out = np.empty((n, len(grid)))
    for b in range(n):
        scores, ratios = np.sort(score[score_bucket == b]), np.sort(ratio[ratio_bucket == b])
        rank = (np.arange(len(scores)) + 0.5) / len(scores)
        wanted = np.interp(grid, scores, rank)
        out[b] = np.interp(wanted, (np.arange(len(ratios)) + 0.5) / len(ratios), ratios)
    return np.maximum.accumulate(np.maximum(out, 0), axis=1).astype(np.float32)
