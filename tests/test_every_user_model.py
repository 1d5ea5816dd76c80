"""Every registered user model keeps the rules, with its own default catalogue and in a world of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

import numpy as np
import pytest

from recgym.candidates import SampledCandidates
from recgym.catalog import Catalog
from recgym.conformance import difference, leaves
from recgym.session import FixedLength
from recgym.simulator import Simulator
from recgym.testing import check_user_model
from recgym.user_model import ExpectingUserModel, HabitualUserModel, RestingUserModel, UserModel
from recgym.users import USER_MODELS
from recgym.users.calibrated import CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import default_parameters
from recgym.users.synthetic import synthetic_catalog, synthetic_population


def made(name: str) -> UserModel[Any]:
    return cast(Callable[[], UserModel[Any]], USER_MODELS.get(name))()


@pytest.mark.parametrize("name", USER_MODELS.names())
@pytest.mark.parametrize("seed", [0, 1])
def test_user_model_keeps_the_rules(name: str, seed: int):
    check_user_model(made(name), seed=seed)


@pytest.mark.parametrize("name", USER_MODELS.names())
def test_user_model_keeps_the_rules_on_a_slate_of_six(name: str):
    check_user_model(made(name), slate_sizes=(6,), n=100, steps=12)


@pytest.mark.parametrize("name", USER_MODELS.names())
def test_user_model_keeps_the_rules_with_one_item(name: str):
    check_user_model(made(name), synthetic_catalog(1), n=16, steps=12)


def test_calibrated_users_keep_the_rules_with_one_person_short_and_untagged_videos():
    """Corners: videos under the thresholds of both published rules, no tag at all, one person."""
    whole = synthetic_catalog(60)
    parts = {part.name: getattr(whole, part.name).copy() for part in fields(Catalog)}
    parts["duration_s"] = np.linspace(0.5, 40, 60, dtype=np.float32)
    parts["duration_s"][:4] = [7, 18, 6.999, 18.001]
    parts["tags"][:30] = -1
    check_user_model(calibrated_users(1), Catalog(**parts))


def test_calibrated_users_offer_all_that_users_may_have():
    users = calibrated_users(10)
    for part in (UserModel, ExpectingUserModel, HabitualUserModel, RestingUserModel):
        assert isinstance(users, part)


class ByParts(CalibratedUsers):
    """The same users; the simulator takes its compiled short cut for `CalibratedUsers` themselves only."""


@pytest.mark.parametrize(
    "settings", [{}, {"slate_size": 4, "visits": 3}, {"candidates": SampledCandidates(7), "visits": 2}]
)
@pytest.mark.parametrize("lively", [False, True])
def test_the_simulators_short_cut_is_the_model_step_by_step(settings: dict[str, Any], lively: bool):
    """What the kit checks (respond, change, leaves) is what the fused loop does, bit for bit, across ends."""
    catalog, default = synthetic_catalog(50), default_parameters()
    if lively:
        default = default.replace(intercept=np.clip(default.intercept + 5, None, 0.5))
    worlds = [Simulator(kind(synthetic_population(300), default), catalog, max_steps=60, **settings)
              for kind in (CalibratedUsers, ByParts)]  # fmt: skip
    crowds = [world.start(np.arange(90)) for world in worlds]
    rng = np.random.default_rng(1)
    for step in range(150):
        k = worlds[0].slate_size
        item = rng.random((90, 50)).argsort(axis=1)[:, :k].astype(np.int32)
        one, other = ({"turn": world.step(crowd, item)._asdict(), "flat": world.flat(crowd), "state": crowd.state,
                       "session": crowd.session, "candidate": crowd.candidate}
                      for world, crowd in zip(worlds, crowds, strict=True))  # fmt: skip
        apart = difference(leaves(one, ""), leaves(other, ""))
        assert apart is None, f"step {step}: {apart}"
        ended = np.flatnonzero(one["turn"]["terminated"] | one["turn"]["truncated"])
        for world, crowd in zip(worlds, crowds, strict=True):
            if len(ended):
                world.restart(crowd, ended)


def test_fast_expected_watch_time_is_the_expected_watch_time():
    users, catalog = calibrated_users(40), synthetic_catalog(90)
    world = Simulator(users, catalog, session=FixedLength(100))
    crowd = world.start(np.arange(20))
    for step in range(15):
        world.step(crowd, np.full((20, 1), 3 * step, np.int32))
    item = np.broadcast_to(np.arange(90, dtype=np.int32), (20, 90))
    slow = users.expect(crowd.state, np.ascontiguousarray(item), catalog).watch_time_s
    np.testing.assert_allclose(users.expect_watch_time_s(crowd.state, catalog), slow, rtol=2e-5, atol=1e-5)
