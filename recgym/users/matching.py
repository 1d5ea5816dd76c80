"""The last step of a fit: the log is replayed until what is simulated has its quantiles and rates."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.replay import Schedule, replay
from recgym.users.calibrated import EXPLICIT, CalibratedUsers
from recgym.users.fit_settings import FitSettings
from recgym.users.mixed_model import Progress
from recgym.users.watch_table import ratio_table

SCORE: Final = np.array([-5.0, 5.0], np.float32)
"""Scores at the first and the last column of a fitted watch table."""

NEVER: Final = -30.0
"""Log-odds of a feedback that the log does not have."""


_FIRST_EPISODE = 1 << 30
"""Replays of a fit have a luck of their own: fidelity must not be judged with the luck that the fit was made with."""


class FitRows(NamedTuple):
    """The log as arrays (rows,), and what follows from it without a model.

    plan: the order of replaying. ratio: watch time / duration. known: the duration was not guessed. watched: class of
    `recgym.users.calibrated.WATCHED`. ends: (B - 1,) ends of the duration buckets; bucket: each row's. lost: score
    that boredom, fatigue and repetition took.
    """

    log: InteractionLog
    plan: Schedule
    user: np.ndarray
    item: np.ndarray
    ratio: np.ndarray
    known: np.ndarray
    watched: np.ndarray
    ends: np.ndarray
    bucket: np.ndarray
    lost: np.ndarray


def feedback_column(log: InteractionLog, name: str) -> np.ndarray:
    """(rows,) float64: a feedback as 0 and 1, all 0 if the log does not have it."""
    return log.array(name).astype(np.float64) if name in log.feedback else np.zeros(len(log))


def score_grid(columns: int) -> np.ndarray:
    """(columns,) the score at each column of a fitted watch table."""
    return np.linspace(float(SCORE[0]), float(SCORE[1]), columns)


def matched(
    users: CalibratedUsers, catalog: Catalog, rows: FitRows, settings: FitSettings, progress: Progress
) -> CalibratedUsers:
    """The users with a watch table and intercepts under which replays of the log show the log's quantiles and rates."""
    wanted = np.array([feedback_column(rows.log, name).sum() for name in EXPLICIT])
    for k in range(settings.rounds):
        first = _FIRST_EPISODE + k * settings.replays
        episodes = range(first, first + settings.replays)
        seen = np.stack([_score_and_chances(users, catalog, rows, episode) for episode in episodes], axis=1)
        parameters = users.parameters
        expected = seen[:, :, 1:].sum(axis=0).mean(axis=0)
        shift = np.where(parameters.intercept[:, 0] > NEVER, np.log((wanted + 0.1) / (expected + 0.1)), 0)
        bucket = np.repeat(rows.bucket[rows.known], settings.replays)
        grid = score_grid(settings.score_columns)
        scores, n_buckets = seen[rows.known, :, 0].ravel(), len(rows.ends) + 1
        table = ratio_table(scores, bucket, rows.ratio[rows.known], rows.bucket[rows.known], grid, n_buckets)
        intercept = (parameters.intercept + shift[:, None]).astype(np.float32)
        users = CalibratedUsers(users.population, parameters.replace(ratio=table, intercept=intercept))
        progress("matching", (k + 1) / settings.rounds)
    return users


def _score_and_chances(users: CalibratedUsers, catalog: Catalog, rows: FitRows, episode: int) -> np.ndarray:
    """(rows, 6) float32 of one replay: the drawn score, and the probability of each explicit feedback."""
    ramp = np.tile(np.array([0, SCORE[1] - SCORE[0]], np.float32), (len(rows.ends) + 1, 1))
    reader = CalibratedUsers(users.population, users.parameters.replace(ratio=ramp))

    def probe(state: Any, at: np.ndarray, item: np.ndarray, noise: Noise) -> np.ndarray:
        read = reader.respond(state, item, catalog, noise).watch_time_s / catalog.duration_s[item] + SCORE[0]
        return np.concatenate([read, users.expect(state, item, catalog).probability[:, 0, 2:]], axis=1)

    return replay(users, catalog, rows.log, episode, plan=rows.plan, probe=probe).probed
