"""How worlds are put together, the known best value of TwoItem, and what is said about wrong parts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from recgym.candidates import SampledCandidates
from recgym.catalog import Catalog
from recgym.errors import BadData, RecGymError, UnknownName, WrongSetting, WrongShape
from recgym.feedback import FEEDBACK
from recgym.noise import Noise
from recgym.objective import Objective
from recgym.session import FixedLength
from recgym.users.calibrated import CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog
from recgym_envs import WORLDS
from recgym_envs.two_item import TwoItemUsers, best_value, item_value, two_videos
from recgym_envs.vector_env import RecVectorEnv
from recgym_envs.worlds import World, make_simulator


def test_the_three_worlds_and_their_usual_settings() -> None:
    assert {"recgym/ShortVideo-v0", "recgym/SlateFeed-v0", "recgym/TwoItem-v0"} <= set(WORLDS.names())
    for name, k, n, steps in (("ShortVideo", 1, 7583, 500), ("SlateFeed", 6, 7583, 100), ("TwoItem", 1, 2, 500)):
        simulator = make_simulator(f"recgym/{name}-v0")
        assert (simulator.slate_size, len(simulator.catalog), simulator.max_steps) == (k, n, steps)
        world = WORLDS.get(f"recgym/{name}-v0")
        assert isinstance(world, World)
        assert world.summary


def test_every_part_can_be_exchanged() -> None:
    session, objective = FixedLength(3), Objective(reward={"like": 1})
    simulator = make_simulator("recgym/ShortVideo-v0", n_items=50, session=session, objective=objective, slate_size=2,
                               candidates=SampledCandidates(9), visits=4, max_steps=7)  # fmt: skip
    assert (len(simulator.catalog), simulator.session, simulator.objective) == (50, session, objective)
    assert (simulator.slate_size, simulator.n_actions, simulator.visits, simulator.max_steps) == (2, 9, 4, 7)
    catalog, users = synthetic_catalog(70), calibrated_users(30)
    own = make_simulator("recgym/SlateFeed-v0", users=users, catalog=catalog)
    assert own.users is users
    assert own.catalog is catalog
    assert own.slate_size == 6
    assert type(make_simulator("recgym/ShortVideo-v0", users="calibrated").users) is CalibratedUsers


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: make_simulator("recgym/ShortVideos-v0"), UnknownName, "Did you mean 'recgym/ShortVideo-v0'"),
        (lambda: make_simulator("recgym/ShortVideo-v0", slatesize=3), UnknownName,
         "no setting of a world called 'slatesize'. Did you mean 'slate_size'"),
        (lambda: make_simulator("recgym/ShortVideo-v0", n_item=3), UnknownName, "Did you mean 'n_items'"),
        (lambda: make_simulator("recgym/ShortVideo-v0", users="calibratd"), UnknownName, "Did you mean 'calibrated'"),
        (lambda: make_simulator("recgym/ShortVideo-v0", users="no/such/folder"), WrongSetting,
         "users='no/such/folder': no such folder; `recgym fit` writes one"),
        (lambda: make_simulator("recgym/ShortVideo-v0", users=CalibratedUsers), WrongSetting,
         r"is no user model: it lacks n_users.*users=TheirUsers\(\)"),
        (lambda: make_simulator("recgym/ShortVideo-v0", users=3), WrongSetting,
         "is no user model: it lacks feedback, n_users, start, observe, respond, change"),
        (lambda: make_simulator("recgym/ShortVideo-v0", n_items=9, catalog=synthetic_catalog(9)), WrongSetting,
         "n_items sizes the synthetic catalogue; it cannot be given beside a catalogue"),
        (lambda: make_simulator("recgym/ShortVideo-v0", n_items=0), WrongSetting, "n_items=0"),
        (lambda: make_simulator("recgym/TwoItem-v0", n_items=3), WrongSetting, "exactly 2 items; n_items=3 was asked"),
        (lambda: make_simulator("recgym/TwoItem-v0", slate_size=3), WrongSetting, "between 1 and the 2 candidates"),
    ],
)  # fmt: skip
def test_wrong_parts_are_named(make: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_a_class_instead_of_its_object_is_named() -> None:
    with pytest.raises(WrongSetting, match=r"users=TheirUsers\(\)"):
        make_simulator("recgym/TwoItem-v0", users=TwoItemUsers)


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecGymError, match=str(tmp_path)):
        make_simulator("recgym/ShortVideo-v0", users=str(tmp_path))


def test_users_and_catalogue_that_do_not_fit_are_named() -> None:
    simulator = make_simulator("recgym/TwoItem-v0", users=calibrated_users(20))
    with pytest.raises(WrongShape, match="the catalogue's appeal_vector has 4 coordinates an item, the users 16"):
        simulator.step(simulator.start(np.arange(2)), np.zeros((2, 1), np.int32))


def catalog_with(**changes: Any) -> Catalog:
    usual = synthetic_catalog(6)
    return Catalog(**({name: getattr(usual, name) for name in usual.__dataclass_fields__} | changes))


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan, np.inf])
def test_durations_are_positive(value: float) -> None:
    duration = synthetic_catalog(6).duration_s.copy()
    duration[4] = value
    with pytest.raises(
        BadData, match=r"item 4 \(outside id 4\) has duration_s .*; durations are positive seconds. 1 of 6"
    ):
        catalog_with(duration_s=duration)


@pytest.mark.parametrize("name", ["vector", "appeal", "appeal_vector"])
def test_catalogues_hold_finite_numbers(name: str) -> None:
    array = getattr(synthetic_catalog(6), name).copy()
    array[2, 0] = np.nan
    with pytest.raises(BadData, match=name):
        catalog_with(**{name: array})


# TwoItem.


def earned(shows: str, seeds: int = 20_000) -> np.ndarray:
    """(seeds,) seconds of whole sessions in which the "solid" or the "catchy" video is shown always."""
    simulator = make_simulator("recgym/TwoItem-v0")
    crowd = simulator.start(np.arange(seeds))
    solid = crowd.profile.argmax(axis=1)
    item = (solid if shows == "solid" else 1 - solid)[:, None].astype(np.int32)
    total, going = np.zeros(seeds), np.ones(seeds, bool)
    while going.any():
        turn = simulator.step(crowd, item)
        total += turn.reward * going
        going &= ~(turn.terminated | turn.truncated)
    return total


@pytest.mark.parametrize("shows", ["solid", "catchy"])
def test_sessions_earn_the_closed_form(shows: str) -> None:
    """seconds / chance of leaving: 60 for the solid video, 20 for the catchy one."""
    total = earned(shows)
    assert item_value(shows) == pytest.approx({"solid": 60, "catchy": 20}[shows])
    assert abs(total.mean() - item_value(shows)) < 4 * total.std() / np.sqrt(len(total))
    assert best_value() == pytest.approx(60)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.66, 0.67, 0.9, 1.0])
def test_the_best_value_solves_the_bellman_equation(discount: float) -> None:
    value = best_value(discount)
    assert value == pytest.approx(max(10 + discount * 0.5 * value, 6 + discount * 0.9 * value))
    assert (item_value("solid", discount) > item_value("catchy", discount)) == (discount > 2 / 3)


def test_greed_prefers_the_catchy_video() -> None:
    """One step ahead the catchy one earns more; the greedy oracle therefore earns item_value("catchy") = 20."""
    simulator = make_simulator("recgym/TwoItem-v0")
    crowd = simulator.start(np.arange(100))
    every = np.broadcast_to(np.arange(2, dtype=np.int32), (100, 2))
    greedy = simulator.users.expect(crowd.state, every, simulator.catalog).watch_time_s.argmax(axis=1)
    np.testing.assert_array_equal(greedy, 1 - crowd.profile.argmax(axis=1))
    assert set(greedy.tolist()) == {0, 1}


def test_two_item_feedback_rates_are_those_expected() -> None:
    users, n = TwoItemUsers(), 40_000
    state = users.start(np.arange(n) % 1000, Noise.of(np.arange(n), np.zeros(n), -1))
    item = np.zeros((n, 1), np.int32)
    answer = users.respond(state, item, two_videos(), Noise.of(np.arange(n), np.zeros(n)))
    expected = users.expect(state, item, two_videos())
    for kind in (0, 1):
        rows = state.solid == kind
        found, p = answer.feedback[rows, 0].mean(axis=0), expected.probability[rows, 0].mean(axis=0)
        assert (np.abs(found - p) < 4 * np.sqrt(p * (1 - p) / rows.sum()) + 1e-6).all()
        np.testing.assert_array_equal(answer.watch_time_s[rows], expected.watch_time_s[rows])
    assert expected.probability[:2, 0, FEEDBACK.index("click")].tolist() == [0, 1], "6 s are no valid play of 20 s"


# gymnasium.make and make_vec.


def test_worlds_are_found_by_gymnasium() -> None:
    import recgym  # noqa: F401

    for name in WORLDS.names():
        env = gym.make(name)
        _, info = env.reset(seed=3)
        assert info == {"user": info["user"], "episode": 0}
        env.close()
    assert gym.make("recgym:recgym/TwoItem-v0").spec is not None


@pytest.mark.parametrize(
    "first", ["recgym", "recgym_agents", "recgym_experiments", "recgym_envs", "recgym_envs.worlds"]
)
def test_any_package_can_be_imported_first(first: str) -> None:
    code = f"import {first}, gymnasium; gymnasium.make('recgym/TwoItem-v0')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("n", [1, 3])
def test_make_vec_uses_the_native_view(n: int) -> None:
    envs = gym.make_vec("recgym/TwoItem-v0", num_envs=n)
    assert isinstance(envs.unwrapped, RecVectorEnv)
    observation, info = envs.reset(seed=1)
    assert observation.shape == (n, envs.single_observation_space.shape[0])
    assert info["user"].shape == (n,)
    observation, reward, terminated, truncated, info = envs.step(np.zeros(n, np.int64))
    assert reward.shape == terminated.shape == truncated.shape == info["_like"].shape == (n,)
    assert envs.observation_space.contains(observation)


def test_max_episode_steps_truncates_both_views() -> None:
    single = gym.make("recgym/ShortVideo-v0", max_episode_steps=2, n_items=30, session=FixedLength(50))
    many = gym.make_vec("recgym/ShortVideo-v0", num_envs=2, max_episode_steps=2, n_items=30, session=FixedLength(50))
    single.reset(seed=0)
    many.reset(seed=0)
    assert [single.step(1)[3] for _ in range(2)] == [False, True]
    assert [many.step(np.array([1, 1]))[3].tolist() for _ in range(2)] == [[False] * 2, [True] * 2]


def test_wrong_choices_of_a_view_are_named() -> None:
    for settings, kind, message in (
        ({"action": "itm"}, UnknownName, "no action called 'itm'. Did you mean 'item'"),
        ({"observation": "histoy"}, UnknownName, "no observation called 'histoy'. Did you mean 'history'"),
        ({"render_mode": "human"}, WrongSetting, "render_mode='human'; allowed are None, 'ansi', 'rgb_array'"),
        ({"action": "weights"}, WrongSetting, "ranks candidates, but this world offers the whole catalogue"),
        ({"reward": {}}, UnknownName, "no setting of a world called 'reward'"),
        ({"num_envs": 0}, WrongSetting, "num_envs is 0; at least 1 is needed"),
    ):
        with pytest.raises(kind, match=message):
            RecVectorEnv(**({"num_envs": 2, "world": "recgym/TwoItem-v0"} | settings))
