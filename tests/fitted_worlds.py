"""A world whose every parameter is known, and a log that its people left."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from recgym.catalog import Catalog
from recgym.feedback import FEEDBACK
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.replay import replay
from recgym.users.calibrated import CalibratedParameters, CalibratedUsers
from recgym.users.fit_settings import FitSettings
from recgym.users.fitted import FittedWorld
from recgym.users.fitting import fit
from recgym.users.synthetic import synthetic_catalog, synthetic_population

N_USERS, N_ITEMS = 2_500, 300
SHARES = {"user": 0.45**2, "taste": 0.38**2, "item": 0.33**2, "noise": 0.74**2}
"""Variance components of the known users' score; they sum to 1.003."""

QUICK = FitSettings(buckets=10, sweeps=90, burn_in=40, feedback_sweeps=40, rounds=3, replays=3)


@lru_cache
def known_users() -> CalibratedUsers:
    """People whose watch time is log-normal: 60 % of videos are clicked, 9 % completed; no feedback is very rare."""
    score = np.array([-6, 6], np.float32)
    ratio = np.minimum(np.exp(1.5 * np.linspace(*score, 241) - 2), 20)
    by_class = np.array(
        [[-4.5, -3.5, -3, -2.6], [-5, -4, -4, -4], [-6, -4.5, -4, -3.8], [-5, -4.5, -4, -4], [-3, -4, -5, -5]]
    )
    follow_on = np.zeros((5, 5))
    follow_on[1, 0], follow_on[2, 0], follow_on[4, 3] = 1.5, 1.0, 1.5
    numbers = {
        "bucket_end_s": [20, 60, 150], "score": score, "ratio": np.tile(ratio, (4, 1)), "intercept": by_class,
        "watch": [0, 0.45, 0.33, 0.38, 0.74, 0.8, 0.15, 0.02], "match_slope": [0.7, 1, 0.9, 0.3, -0.3],
        "user_scale": [1.5, 1.2, 1, 1.2, 1.5], "appeal_scale": [0.8, 0.8, 0.8, 0.8, 0.8], "follow_on": follow_on,
        "repeat": [0.6],
    }  # fmt: skip
    parameters = CalibratedParameters(**{name: np.array(value, np.float32) for name, value in numbers.items()})
    return CalibratedUsers(synthetic_population(N_USERS), parameters)


def known_catalog() -> Catalog:
    return synthetic_catalog(N_ITEMS)


def exposures(rows_per_user: int, seed: int, n_users: int = N_USERS) -> InteractionLog:
    """Who saw what: random items, visits of ten; nobody has answered yet."""
    rng = np.random.default_rng(seed)
    rows = n_users * rows_per_user
    place = np.tile(np.arange(rows_per_user), n_users)
    user = np.repeat(np.arange(n_users), rows_per_user)
    nothing = {name: np.zeros(rows, np.bool_) for name in FEEDBACK}
    return InteractionLog.from_arrays(
        {"user": user, "session": user * rows_per_user + place // 10, "step": place % 10, "position": 0 * user,
         "item": rng.integers(N_ITEMS, size=rows), "watch_time_s": np.zeros(rows), "time_ms": place * 60_000 + 10**12,
         **nothing}, FEEDBACK, {"dataset": "known world"},
    )  # fmt: skip


def answered(log: InteractionLog, users: CalibratedUsers, catalog: Catalog, episode: int = 1 << 29) -> InteractionLog:
    """The log with what `users` do."""
    played = replay(users, catalog, log, episode)
    columns = {name: log.array(name) for name in ("user", "session", "step", "position", "item", "time_ms")}
    columns |= {"watch_time_s": played.watch_time_s}
    columns |= {name: played.feedback[:, f] for f, name in enumerate(FEEDBACK)}
    return InteractionLog.from_arrays(columns, FEEDBACK, log.source)


def as_dataset(log: InteractionLog, users: CalibratedUsers, catalog: Catalog) -> Dataset:
    """What a loader would give. The platform knows the content just as the users perceive it, and no appeal."""
    people = users.population
    bare = Catalog(catalog.appeal_vector, catalog.duration_s, catalog.tags, catalog.outside_id + 1000,
                   catalog.appeal_vector, np.zeros_like(catalog.appeal))  # fmt: skip
    names = tuple(f"column_{i}" for i in range(people.profile.shape[1]))
    return Dataset(bare, log, people.profile, names, people.outside_id + 50_000, ("a known world",))


@lru_cache
def known_dataset() -> Dataset:
    """50,000 exposures of the known users."""
    users, catalog = known_users(), known_catalog()
    return as_dataset(answered(exposures(20, 0), users, catalog), users, catalog)


@lru_cache
def refitted() -> FittedWorld:
    """The world fitted to `known_dataset`."""
    return fit(known_dataset(), QUICK)
