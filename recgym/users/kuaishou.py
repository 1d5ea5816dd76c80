"""Published statistics of the Kuaishou feed, and the default parameters made from them.

Source of all numbers: KuaiRand (Gao et al., CIKM 2022), as counted in the project's data-set note, sections 2.1 to
2.5 (main feed, "tab 1", unless another column is named). They are statistics, not data.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import logit, ndtr, ndtri

from recgym.users.calibrated import CalibratedParameters

RANDOM_RATE: Final = {
    "click": 0.1762, "long_view": 0.0850, "complete": 0.0332, "like": 0.00480, "follow": 0.00026,
    "comment": 0.00035, "forward": 0.00034, "hate": 0.00114,
}  # fmt: skip
"""Rates per exposure of KuaiRand-Pure's random log (1,186,049 rows): what a random policy must show by default."""

STANDARD_RATE: Final = {
    "click": 0.4939, "long_view": 0.3480, "complete": 0.1545, "like": 0.0194, "follow": 0.0014,
    "comment": 0.0029, "forward": 0.0010, "hate": 0.0009,
}  # fmt: skip
"""Rates per exposure of the main feed of KuaiRand-Pure's standard log: what a good policy shows."""

HEAD_ROOM: Final = 2.6
"""Valid plays of the standard log over those of the random log, same period."""

_DURATION_S = np.array([8.3, 12.4, 19.5, 32, 49.5, 74, 104, 148, 208, 300.0])
"""Typical duration in each published bucket, which end at 10, 15, 25, 40, 60, 90, 120, 180, 240 s and nowhere."""

_UNDER_3_S = np.array([0.380, 0.382, 0.376, 0.352, 0.342, 0.284, 0.293, 0.322, 0.348, 0.359])
_ALMOST_COMPLETE = np.array([0.350, 0.312, 0.288, 0.245, 0.233, 0.192, 0.147, 0.102, 0.071, 0.047])
_COMPLETE_SLOPE = np.diff(ndtri(_ALMOST_COMPLETE[-2:]))[0] / np.diff(np.log(_DURATION_S[-2:]))[0]
_LOOP_1_2 = np.array([0.538, 0.404, 0.313, 0.198, 0.114, 0.078, 0.051, 0.036, 0.027, 0.025])
_LOOP_2 = np.array([0.215, 0.142, 0.077, 0.046, 0.020, 0.013, 0.012, 0.006, 0.006, 0.003])
_CLICK = np.array([0.384, 0.455, 0.466, 0.499, 0.522, 0.573, 0.551, 0.514, 0.483, 0.459])
_LONG = np.array([0.355, 0.306, 0.304, 0.359, 0.383, 0.424, 0.402, 0.357, 0.325, 0.305])

_GIVEN_WATCHED = np.array([
    [0.0067, 0.0236, 0.0271, 0.0444],
    [0.00036, 0.00189, 0.00204, 0.00342],
    [0.000035, 0.00217, 0.0056, 0.00931],
    [0.00019, 0.00124, 0.00166, 0.00243],
    [0.00089, 0.00128, 0.000645, 0.00061],
])  # fmt: skip
"""P(explicit feedback | what was watched), rows as in `EXPLICIT`, columns as in `WATCHED`. "long, not complete" is
worked out from the published columns "long view" and "complete": complete plays are long views by the rules."""

_FOLLOW_ON = np.zeros((5, 5), np.float32)
_FOLLOW_ON[1, 0], _FOLLOW_ON[2, 0], _FOLLOW_ON[3, 0] = 2.6, 1.5, 1.5
_FOLLOW_ON[3, 1], _FOLLOW_ON[3, 2], _FOLLOW_ON[4, 3] = 1.0, 1.3, 2.5

BUCKET_END_S: Final = np.round(np.geomspace(7.0, 600.0, 23), 2).astype(np.float32)
"""Upper ends of the default's duration buckets but the last."""

SCORE: Final = np.array([-4.0, 6.0], np.float32)
_COLUMNS = 161


def standard_ratio_quantile(duration_s: float) -> PchipInterpolator:
    """Main feed of the standard log: watch ratio at each standard-normal score, as ln(ratio), for one duration.

    A monotone curve through the published points of the duration bucket: shares under 3 s, over 7 s, over 18 s, over
    0.95, 1.2 and 2 times the duration; the ends come from the overall quantiles of play time.
    """
    at = np.log(np.clip(duration_s, _DURATION_S[0], _DURATION_S[-1]))
    score, seconds, ratio = ndtri, [], []

    def published(column: np.ndarray) -> float:
        return float(ndtr(np.interp(at, np.log(_DURATION_S), ndtri(column))))

    # Longer than the last bucket's 300 s: the share of completed plays keeps falling as it does between its neighbours.
    far = max(np.log(duration_s / _DURATION_S[-1]), 0.0)
    skip, complete = published(_UNDER_3_S), float(ndtr(ndtri(published(_ALMOST_COMPLETE)) + _COMPLETE_SLOPE * far))
    loop, twice = published(_LOOP_1_2), published(_LOOP_2)
    seconds = [(0.3, 0.012), (0.97, 0.055 * skip / 0.341), (1.3, 0.12 * skip / 0.341), (2.08, 0.25 * skip / 0.341),
               (3.0, skip), (7.0, 1 - published(_CLICK)), (18.0, 1 - published(_LONG))]  # fmt: skip
    whole = 0.84 + 0.1 * loop
    ratio = [(0.95, 1 - complete), (1.0, 1 - complete * whole), (1.05, 1 - complete * (loop + 0.4 * (whole - loop))),
             (1.2, 1 - complete * loop), (2.0, 1 - complete * twice), (4.0, 1 - complete * twice * 0.25),
             (8.0, 1 - complete * twice * 0.06)]  # fmt: skip
    points = [(s / duration_s, p) for s, p in seconds if s / duration_s < 0.9 and p < 1 - complete - 0.01] + ratio
    x = np.array([score(p) for _, p in points])
    return PchipInterpolator(x, np.log([r for r, _ in points]), extrapolate=True)


BRIDGE: Final = ((0.93, 1.37, 1.84), (0.02046, 0.35367, 1.08325))
"""Scores of the default world (first row) and the standard log's scores that they stand for (second row)."""


def bridge(score: np.ndarray, anchors: tuple[tuple[float, ...], tuple[float, ...]] = BRIDGE) -> np.ndarray:
    """Standard-log score that each score of the default world stands for: linear between anchors, slope 1 outside."""
    ours, theirs = (np.asarray(row) for row in anchors)
    inside = np.interp(score, ours, theirs)
    return np.asarray(inside + np.minimum(score - ours[0], 0) + np.maximum(score - ours[-1], 0))


EXPLICIT_SHIFT: Final = (-3.0908, -4.2098, -3.0817, -2.1458, -2.4045)
"""Log-odds added to `_GIVEN_WATCHED` so that a random policy shows `RANDOM_RATE` (`recgym run calibrate_default`)."""


@cache
def default_parameters(
    anchors: tuple[tuple[float, ...], tuple[float, ...]] = BRIDGE,
    explicit_shift: tuple[float, ...] = EXPLICIT_SHIFT,
) -> CalibratedParameters:
    """The embedded default: parameters under which a random policy shows `RANDOM_RATE`.

    The shares of the score's variance follow the published intraclass correlations of valid plays, turned from the
    0/1 to the latent scale (user .145 -> .22, item .068 -> .11); the match between user and item and the noise share
    the rest. Explicit scales reproduce the published Beta laws of users and items.
    """
    grid = np.linspace(SCORE[0], SCORE[1], _COLUMNS)
    ends = np.concatenate([[5.0], BUCKET_END_S, [900.0]])
    middles = np.sqrt(ends[:-1] * ends[1:])
    ratio = np.array([np.exp(_extended(standard_ratio_quantile(m), bridge(grid, anchors))) for m in middles])
    return CalibratedParameters(
        bucket_end_s=BUCKET_END_S,
        score=SCORE,
        ratio=np.maximum.accumulate(np.minimum(ratio, 30.0), axis=1).astype(np.float32),
        watch=np.array([0.0, 0.45, 0.33, 0.38, 0.74, 0.5, 0.15, 0.02], np.float32),
        intercept=(logit(_GIVEN_WATCHED) + np.array(explicit_shift)[:, None]).astype(np.float32),
        match_slope=np.array([0.7, 1.0, 0.9, 0.3, -0.3], np.float32),
        user_scale=np.array([1.9, 2.0, 1.4, 1.6, 2.1], np.float32),
        appeal_scale=np.array([0.8, 1.2, 1.0, 1.0, 1.2], np.float32),
        follow_on=_FOLLOW_ON,
    )


def _extended(curve: PchipInterpolator, score: np.ndarray) -> np.ndarray:
    """The curve inside its points, straight lines with the slopes of its ends outside."""
    first, last = curve.x[0], curve.x[-1]
    inside = curve(np.clip(score, first, last))
    slope = curve.derivative()
    return np.asarray(
        inside + np.minimum(score - first, 0) * max(slope(first), 0.5) + np.maximum(score - last, 0) * slope(last)
    )
