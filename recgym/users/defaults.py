"""The embedded default: calibrated users, made once per size and shared."""

from __future__ import annotations

from functools import lru_cache

from recgym.users.calibrated import CalibratedUsers
from recgym.users.kuaishou import default_parameters
from recgym.users.synthetic import synthetic_population


@lru_cache(maxsize=4)
def calibrated_users(n_users: int = 27_000, dimension: int = 16, seed: int = 0) -> CalibratedUsers:
    """Calibrated short-video users with the statistics of KuaiRand's random and standard logs; no download."""
    return CalibratedUsers(synthetic_population(n_users, dimension, seed), default_parameters())
