"""Worlds that several files of tests share. All are definitions without moving state, so one of each is enough."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recgym.simulator import Simulator
from recgym.users.calibrated import CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import default_parameters
from recgym.users.synthetic import synthetic_catalog, synthetic_population


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-golden", action="store_true", help="write tests/golden anew; a changed number is a decision"
    )


@pytest.fixture(scope="session")
def embedded_world() -> Simulator:
    """The default world as everybody gets it: 27,000 persons, 7,583 videos."""
    return Simulator(calibrated_users(), synthetic_catalog())


@pytest.fixture(scope="session")
def lively_users() -> CalibratedUsers:
    """200 persons who like, follow, comment, forward and hate often, drift and tire fast: rare branches are met."""
    default = default_parameters()
    watch = default.watch * np.array([1, 1, 1, 1, 1, 2, 4, 15], np.float32)
    return CalibratedUsers(
        synthetic_population(200), default.replace(watch=watch, intercept=np.clip(default.intercept + 5, None, 0.5))
    )


@pytest.fixture(scope="session")
def lively_world(lively_users: CalibratedUsers) -> Callable[..., Simulator]:
    """Makes a world of the lively users and 120 videos; settings are those of `Simulator`."""

    def make(**settings: object) -> Simulator:
        parts = {"users": lively_users, "catalog": synthetic_catalog(120)} | settings
        return Simulator(**parts)  # type: ignore[arg-type]

    return make
