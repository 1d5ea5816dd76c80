"""Probabilities of single rows under a fitted world, averaged over what is not known of the person and the item."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtr

from recgym.catalog import Catalog
from recgym.feedback import LONG_VIEW_S, VALID_PLAY_S
from recgym.interaction_log import InteractionLog
from recgym.replay import Schedule, schedule
from recgym.users.calibrated import EXPLICIT, CalibratedParameters
from recgym.users.calibrated_kernels import RECENT, REMEMBERED
from recgym.users.fitted import FittedWorld, Posterior

_NODES, _MASS = np.polynomial.hermite_e.hermegauss(9)


class ScoreGuess(NamedTuple):
    """What is expected of each row's score without its noise: mean and variance, and the mean of appeal + taste."""

    mean: np.ndarray
    variance: np.ndarray
    match: np.ndarray


class Moods(NamedTuple):
    """What a score loses: to boredom by tags, to fatigue over 50 exposures, to an item that was seen before."""

    boredom: float
    fatigue: float
    repeat: float

    @classmethod
    def of(cls, parameters: CalibratedParameters) -> Moods:
        """Those of the model's numbers."""
        return cls(parameters.watch_value("boredom"), parameters.watch_value("fatigue"), float(parameters.repeat[0]))


def lull(plan: Schedule, item: np.ndarray, tag: np.ndarray, moods: Moods) -> np.ndarray:
    """(rows,) float64: the score that boredom, fatigue and repetition take from each row.

    The same rules as `recgym.users.calibrated_kernels.respond`, for slates of one; they depend on what was shown
    alone. item, tag: (rows,) int64, the item and its main tag.
    """
    out = np.zeros(len(tag))
    tags = np.full((len(plan.user), RECENT), -1, np.int64)
    items = np.full((len(plan.user), REMEMBERED), -1, np.int64)
    shown = np.zeros(len(plan.user), np.int64)
    for t, rows in enumerate(plan.step):
        n, now, them = len(rows), tag[rows], item[rows]
        back = np.flatnonzero(plan.rests[rows])
        tags[back], shown[back] = -1, 0
        same = (tags[:n] == now[:, None]).sum(axis=1) * (now >= 0) / RECENT
        seen = (items[:n] == them[:, None]).any(axis=1)
        out[rows] = moods.boredom * same + moods.fatigue * np.minimum(shown[:n] / 50, 2) + moods.repeat * seen
        tags[np.arange(n), shown[:n] % RECENT] = now
        items[:n, t % REMEMBERED] = them
        shown[:n] += 1
    return out


def guess_score(
    posterior: Posterior, catalog: Catalog, user: np.ndarray, item: np.ndarray, lost: np.ndarray
) -> ScoreGuess:
    """Mean and variance of each row's score before noise. user, item: (rows,); lost: (rows,) from `lull`."""
    d = catalog.appeal_vector.shape[1]
    x = np.column_stack([np.ones(len(item)), catalog.appeal_vector[item] * np.sqrt(d)])
    taste = np.einsum("rc,rc->r", posterior.user_mean[user, 1:], x[:, 1:])
    match = posterior.item_mean[item, 0] + taste
    variance = np.empty(len(item))
    place = np.full(len(posterior.user_mean), -1)
    place[posterior.seen] = np.arange(len(posterior.seen))
    row = place[user]
    variance[row < 0] = posterior.prior_sd[0] ** 2 + posterior.taste_sd**2 / d * (x[row < 0, 1:] ** 2).sum(axis=1)
    at = 0
    known = np.flatnonzero(row >= 0)
    variance[known] = 0
    for i in range(1 + d):
        for j in range(i + 1):
            term = posterior.user_covariance[row[known], at] * x[known, i] * x[known, j]
            variance[known] += term if i == j else 2 * term
            at += 1
    mean = posterior.user_mean[user, 0] + match - lost
    return ScoreGuess(mean, np.maximum(variance, 0) + posterior.item_variance[item, 0], match)


def predict(world: FittedWorld, log: InteractionLog, plan: Schedule | None = None) -> dict[str, np.ndarray]:
    """(rows,) float64 probabilities of click, long_view, complete and the five explicit feedbacks.

    The log's rows are new rows of the world's people and items: what is not known of them is integrated out, the
    score's part exactly, the log-odds' by nine-point Gauss-Hermite quadrature; drift of taste is left out.

    Args:
        world: a fitted world.
        log: rows of its people and items (see `recgym.users.fitted.aligned`).
        plan: `schedule(log)`, where it was made already.
    """
    parameters, catalog, posterior = world.users.parameters, world.catalog, world.posterior
    user, item = log.array("user"), log.array("item").astype(np.int64)
    lost = lull(plan or schedule(log), item, catalog.tag[item].astype(np.int64), Moods.of(parameters))
    guess = guess_score(posterior, catalog, user, item, lost)
    spread = np.sqrt(parameters.watch_value("sigma") ** 2 + guess.variance)
    duration = catalog.duration_s
    wholes = {"complete": np.inf, "long_view": LONG_VIEW_S, "click": VALID_PLAY_S}
    out: dict[str, np.ndarray] = {}
    least: np.ndarray | float = 0.0
    for name, seconds in wholes.items():
        needed = parameters.threshold(duration, np.minimum(seconds / duration, 1.0))
        least = out[name] = np.maximum(ndtr((guess.mean - needed[item]) / spread), least)
    share = np.column_stack([1 - out["click"], out["click"] - out["long_view"], out["long_view"] - out["complete"],
                             out["complete"]])  # fmt: skip
    base = posterior.logit_mean[user] + posterior.item_mean[item, 1:] + parameters.match_slope * guess.match[:, None]
    sd = np.sqrt(posterior.logit_variance[user] + posterior.item_variance[item, 1:])
    return out | _explicit(parameters, share, base, sd)


def _explicit(
    parameters: CalibratedParameters, share: np.ndarray, base: np.ndarray, sd: np.ndarray
) -> dict[str, np.ndarray]:
    """Probabilities of the explicit feedbacks: over the four classes, all earlier answers, and the unknown log-odds."""
    total = np.zeros((len(share), len(EXPLICIT)))
    for watched in range(share.shape[1]):
        answers: dict[tuple[int, ...], np.ndarray] = {(): share[:, watched]}
        for f in range(len(EXPLICIT)):
            later: dict[tuple[int, ...], np.ndarray] = {}
            for given, weight in answers.items():
                logit = base[:, f] + parameters.intercept[f, watched] + parameters.follow_on[f, list(given)].sum()
                p = sum(w * expit(logit + z * sd[:, f]) for z, w in zip(_NODES, _MASS / _MASS.sum(), strict=True))
                later[*given, f] = weight * p
                later[given] = weight * (1 - p)
                total[:, f] += later[*given, f]
            answers = later
    return {name: total[:, f] for f, name in enumerate(EXPLICIT)}
