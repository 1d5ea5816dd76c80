"""One user behind `make` and many behind `make_vec` are the same users: values, types, info and its masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import SyncVectorEnv

from recgym.candidates import RetrievedCandidates, SampledCandidates
from recgym.errors import RecGymError, UnknownName, WrongAction, WrongSetting, WrongShape
from recgym.objective import Objective
from recgym.session import FixedLength, Patience
from recgym.users.calibrated import CalibratedUsers
from recgym.users.synthetic import synthetic_catalog
from recgym_envs.single_env import RecEnv
from recgym_envs.vector_env import RecVectorEnv

SHORT = Patience(base_hazard=0.15)
N = 5
MASKED = hasattr(gym.vector, "AutoresetMode")
"""Whether this Gymnasium knows `options["reset_mask"]`."""

FEED: dict[str, Any] = {
    "world": "recgym/ShortVideo-v0",
    "catalog": synthetic_catalog(60),
    "session": SHORT,
    "max_steps": 9,
}
SLATES: dict[str, Any] = {**FEED, "world": "recgym/SlateFeed-v0", "session": Patience(base_hazard=0.03)}
WORLDS: dict[str, dict[str, Any]] = {
    "feed": FEED,
    "feed, history": {**FEED, "observation": "history"},
    "feed, two visits": {**FEED, "visits": 2},
    "feed, candidates": {**FEED, "candidates": SampledCandidates(7)},
    "feed, query": {**FEED, "action": "query", "observation": "history"},
    "feed, query among candidates": {**FEED, "action": "query", "candidates": RetrievedCandidates(8), "visits": 2},
    "feed, weights": {**FEED, "action": "weights", "candidates": SampledCandidates(8), "observation": "history"},
    "slates": SLATES,
    "slates, history, visits": {**SLATES, "observation": "history", "visits": 2, "candidates": SampledCandidates(20)},
    "slates, query": {**SLATES, "action": "query"},
    "slates, weights": {**SLATES, "action": "weights", "candidates": RetrievedCandidates(20)},
    "two items": {"world": "recgym/TwoItem-v0", "max_steps": 6},
    "two items, history": {"world": "recgym/TwoItem-v0", "observation": "history", "visits": 3},
    "other reward": {
        **FEED,
        "objective": Objective(reward={"like": 2, "skip": -0.5}, costs=("hate",), limits={"hate": 0}),
    },
}


@pytest.fixture(scope="module")
def both(lively_users: CalibratedUsers) -> Callable[..., tuple[RecVectorEnv, SyncVectorEnv]]:
    """Makes the two views of a world."""

    def make(**settings: Any) -> tuple[RecVectorEnv, SyncVectorEnv]:
        if settings["world"] != "recgym/TwoItem-v0":
            settings = {"users": lively_users} | settings
        return RecVectorEnv(N, **settings), SyncVectorEnv([lambda: RecEnv(**settings)] * N)

    return make


def same(one: Any, other: Any, where: str) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), f"{where}: {set(one) ^ set(other)}"
        for name in one:
            same(one[name], other[name], f"{where}, {name}")
    elif isinstance(one, tuple):
        for place, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{where}[{place}]")
    else:
        assert isinstance(one, np.ndarray), where
        assert one.dtype == other.dtype, f"{where}: {one.dtype}, {other.dtype}"
        np.testing.assert_array_equal(one, other, err_msg=where)


def sample(view: RecVectorEnv, rng: np.random.Generator) -> np.ndarray:
    """Actions of all users; the places of a slate differ."""
    space = view.single_action_space
    if isinstance(space, gym.spaces.Box):
        return rng.uniform(-1, 1, (N, *space.shape)).astype(np.float32)
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(0, space.n, N)
    return np.array([rng.permutation(space.nvec[0])[: len(space.nvec)] for _ in range(N)])  # type: ignore[attr-defined]


def play(view: RecVectorEnv, sync: SyncVectorEnv, steps: int, seed: int) -> int:
    """Step both with the same actions; how many episodes ended."""
    rng, ends = np.random.default_rng(seed), 0
    for step in range(steps):
        action = sample(view, rng)
        mine, theirs = view.step(action), sync.step(action)
        same(mine, theirs, f"step {step}")
        assert view.observation_space.contains(mine[0]), step
        ends += int((mine[2] | mine[3]).sum())
    return ends


@pytest.mark.parametrize("world", WORLDS)
def test_the_vector_view_is_many_single_views(both: Callable[..., Any], world: str) -> None:
    view, sync = both(**WORLDS[world])
    assert view.observation_space == sync.observation_space
    assert view.action_space == sync.action_space
    same(view.reset(seed=40), sync.reset(seed=40), "reset(seed=40)")
    ends = play(view, sync, 60, 0)
    same(view.reset(), sync.reset(), "the next episodes, begun in the middle of others")
    ends += play(view, sync, 15, 1)
    seeds = [9, 2, 2, 2**40, 0]
    same(view.reset(seed=seeds), sync.reset(seed=seeds), f"reset(seed={seeds})")
    ends += play(view, sync, 15, 2)
    some = [None, 7, None, None, 8]
    same(view.reset(seed=some), sync.reset(seed=some), f"reset(seed={some})")
    ends += play(view, sync, 5, 3)
    same(view.reset(options={"user": 17}), sync.reset(options={"user": 17}), "a chosen person")
    ends += play(view, sync, 15, 4)
    assert ends > 2 * N


@pytest.mark.skipif(not MASKED, reason="this Gymnasium has no reset_mask")
@pytest.mark.parametrize("world", ["feed", "slates, history, visits"])
def test_some_rows_can_be_reset(both: Callable[..., Any], world: str) -> None:
    view, sync = both(**WORLDS[world])
    same(view.reset(seed=40), sync.reset(seed=40), "reset")
    rng = np.random.default_rng(7)
    for turn in range(20):
        mask = rng.random(N) < 0.5
        mask[turn % N] = True
        seed = None if turn % 2 else [int(s) for s in rng.integers(0, 99, N)]
        given = [{"reset_mask": mask.copy()} for _ in range(2)]
        same(
            view.reset(seed=seed, options=given[0]),
            sync.reset(seed=seed, options=given[1]),
            f"{turn}, mask {mask}, seed {seed}",
        )
        play(view, sync, 4, turn)


def test_some_rows_can_be_reset_in_every_gymnasium(both: Callable[..., Any]) -> None:
    """The rows that are not named go on undisturbed; the named ones begin what their seed says."""
    view, _ = both(**FEED, observation="history")
    other, _ = both(**FEED, observation="history")
    view.reset(seed=3)
    other.reset(seed=3)
    view.step(np.arange(N))
    first = other.step(np.arange(N))[0]
    mask = np.array([False, True, False, True, False])
    observation, info = view.reset(seed=[0, 11, 0, 12, 0], options={"reset_mask": mask})
    assert info["_user"].tolist() == info["_episode"].tolist() == mask.tolist()
    for name, value in observation.items():
        np.testing.assert_array_equal(value[~mask], first[name][~mask])
    fresh = other.reset(seed=[0, 11, 0, 12, 0])[0]
    for name, value in observation.items():
        np.testing.assert_array_equal(value[mask], fresh[name][mask])


def test_each_row_can_be_another_person(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    _, info = view.reset(seed=0, options={"user": [3, 1, 4, 1, 5]})
    assert info["user"].tolist() == [3, 1, 4, 1, 5]
    mask = np.array([True, False, False, False, True])
    _, info = view.reset(options={"user": [9, 0, 0, 0, 8], "reset_mask": mask})
    assert info["user"].tolist() == [9, 0, 0, 0, 8]
    assert info["_user"].tolist() == mask.tolist()
    assert view._crowd.user.tolist() == [9, 1, 4, 1, 8]


def test_info_names_all_signals_and_reward_is_the_objective(both: Callable[..., Any]) -> None:
    view, _ = both(**{**SLATES, "objective": Objective(reward={"watch_time_s": 1, "like": 3, "hate": -2}), "visits": 2})
    view.reset(seed=1)
    rng, seen = np.random.default_rng(0), 0
    for _ in range(30):
        before = view._ended.copy()
        _, reward, terminated, _, info = view.step(sample(view, rng))
        if before.all():
            assert set(info) == {"user", "_user", "episode", "_episode"}
            continue
        acted = ~before
        assert {name for name in info if name[0] != "_"} - {"user", "episode"} == {
            "watch_time_s", "click", "long_view", "like", "follow", "comment", "forward", "hate", "cost_hate",
            "cost_skip", "cost_early_exit", "left", "return_gap_days", "item", "slate_watch_time_s", "slate_feedback",
        }  # fmt: skip
        for name in ("watch_time_s", "item", "cost_skip", "left"):
            np.testing.assert_array_equal(info[f"_{name}"], acted)
        np.testing.assert_allclose(reward, info["watch_time_s"] + 3 * info["like"] - 2 * info["hate"])
        np.testing.assert_allclose(info["watch_time_s"], info["slate_watch_time_s"].sum(axis=1), rtol=1e-5)
        np.testing.assert_array_equal(info["like"], info["slate_feedback"][:, :, 2].sum(axis=1))
        np.testing.assert_array_equal(info["cost_skip"][acted], (info["slate_watch_time_s"] < 3).sum(axis=1)[acted])
        np.testing.assert_array_equal(info["cost_hate"], info["hate"])
        assert (info["left"] >= terminated)[acted].all()
        assert ((info["return_gap_days"] >= 1) == info["left"]).all()
        assert (reward[before] == 0).all()
        seen += int(info["left"].sum())
    assert seen


def test_a_new_episode_is_announced_where_it_begins(both: Callable[..., Any]) -> None:
    view, _ = both(**{**FEED, "session": FixedLength(2)})
    _, info = view.reset(seed=4)
    assert info["episode"].tolist() == [0] * N
    zeros = np.zeros(N, int)
    assert "user" not in view.step(zeros)[4]
    assert view.step(zeros)[2].all()
    observation, reward, terminated, truncated, info = view.step(np.full(N, -99))
    assert info["episode"].tolist() == [1] * N
    assert not np.concatenate([reward, terminated, truncated]).any()
    fresh = both(**{**FEED, "session": FixedLength(2)})[0]
    fresh.reset(seed=4)
    np.testing.assert_array_equal(observation, fresh.reset()[0])


@pytest.mark.parametrize("action", ["item", "query"])
@pytest.mark.parametrize("world", [FEED, SLATES])
def test_actions_of_rows_that_ended_are_ignored_whatever_they_are(
    both: Callable[..., Any], world: dict[str, Any], action: str
) -> None:
    view, _ = both(**{**world, "action": action, "max_steps": 1})
    view.reset(seed=0)
    good = sample(view, np.random.default_rng(0))
    view.step(good)
    nonsense = np.full_like(good, -5) if action == "item" else np.full_like(good, np.nan)
    assert not view.step(nonsense)[2].any()
    with pytest.raises(WrongAction):
        view.step(nonsense)


def test_whole_number_queries_survive_the_end_of_an_episode(both: Callable[..., Any]) -> None:
    view, _ = both(**{**SLATES, "action": "query", "max_steps": 1})
    view.reset(seed=0)
    for _ in range(3):
        view.step(np.ones((N, 18), int))


def test_unseeded_views_draw_a_seed_and_keep_it(both: Callable[..., Any]) -> None:
    view, sync = both(**FEED)
    one, _ = view.reset()
    assert len(np.unique(one, axis=0)) == N
    _, info = view.reset()
    assert info["episode"].tolist() == [1] * N
    single = sync.envs[0]
    single.reset()
    assert single.reset()[1]["episode"] == 1
    assert single.reset(seed=5)[1]["episode"] == 0


def test_a_single_view_needs_a_reset_after_the_end(lively_users: CalibratedUsers) -> None:
    env = RecEnv(**{**FEED, "users": lively_users, "session": FixedLength(2)})
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)
    first, info = env.reset(seed=6)
    env.step(0)
    assert env.step(1)[2]
    with pytest.raises(ResetNeeded):
        env.step(0)
    again, other = env.reset()
    assert (info["episode"], other["episode"]) == (0, 1)
    assert (again != first).any()
    np.testing.assert_array_equal(env.reset(seed=6)[0], first)


def test_a_vector_view_needs_a_first_reset(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    with pytest.raises(ResetNeeded, match="call reset"):
        view.step(np.zeros(N, int))


def test_what_is_returned_stays_what_it_was(both: Callable[..., Any]) -> None:
    view, _ = both(**{**FEED, "observation": "history", "candidates": SampledCandidates(9)})
    before = view.reset(seed=2)
    kept = (
        {name: value.copy() for name, value in before[0].items()},
        {name: value.copy() for name, value in before[1].items()},
    )
    for _ in range(12):
        after = view.step(np.zeros(N, int))
    same(before, kept, "the first observation")
    kept_reward = after[1].copy()
    view.step(np.zeros(N, int))
    np.testing.assert_array_equal(after[1], kept_reward)


@pytest.mark.parametrize("options", [{"user": 200}, {"user": -1}, {"user": 1.5}])
def test_wrong_persons_are_refused_by_both(both: Callable[..., Any], options: dict[str, Any]) -> None:
    view, sync = both(**FEED)
    for reset in (view.reset, sync.envs[0].reset):
        with pytest.raises(RecGymError, match=r"user (holds|has shape)"):
            reset(seed=0, options=options)


def test_too_few_persons_are_refused(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    with pytest.raises(WrongShape, match=r"options\['user'\] has shape \(2,\); one number or 5 are needed"):
        view.reset(seed=0, options={"user": [1, 2]})


@pytest.mark.parametrize(("name", "allowed"), [("usr", "user"), ("reset_masc", "reset_mask"), ("usr_", "user")])
def test_unknown_reset_options_are_refused(both: Callable[..., Any], name: str, allowed: str) -> None:
    """And nothing is reset."""
    view, sync = both(**FEED)
    for each in (view, sync.envs[0]) if allowed == "user" else (view,):
        each.reset(seed=0)
        with pytest.raises(UnknownName, match=f"no reset option called '{name}'. Did you mean '{allowed}'"):
            each.reset(seed=1, options={name: 1})
        assert each._crowd.seed[0] == 0
    with pytest.raises(UnknownName, match="no reset option called 'reset_mask'"):
        sync.envs[0].reset(options={"reset_mask": np.ones(1, bool)})


def test_wrong_seeds_and_masks_are_refused(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    with pytest.raises(WrongShape, match="2 seeds were given for 5 users"):
        view.reset(seed=[1, 2])
    with pytest.raises(WrongSetting, match="the first reset begins all rows"):
        view.reset(options={"reset_mask": np.arange(N) == 1})
    view.reset(seed=0)
    with pytest.raises(WrongShape, match=r"reset_mask has shape \(3,\), type bool; \(5,\) bool is needed"):
        view.reset(options={"reset_mask": np.ones(3, bool)})
    with pytest.raises(WrongShape, match="type int64"):
        view.reset(options={"reset_mask": np.ones(N, int)})


def test_a_refused_first_reset_can_be_repeated(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    with pytest.raises(RecGymError):
        view.reset(seed=0, options={"user": 1000})
    refused = view.reset()[1]["episode"].tolist()
    assert refused == [0] * N


@pytest.mark.parametrize("options", [{"user": 1000}, {"user": [1, 2]}, {"reset_mask": np.ones(2, bool)}])
def test_a_refused_reset_changes_nothing(both: Callable[..., Any], options: dict[str, Any]) -> None:
    """The session goes on, and its next episode is the one that would have come."""
    refused, other = (both(**FEED)[0] for _ in range(2))
    for view in (refused, other):
        view.reset(seed=4)
        view.step(np.arange(N))
    with pytest.raises(RecGymError):
        refused.reset(seed=9, options=options)
    same(refused.step(np.arange(N)), other.step(np.arange(N)), "the step after")
    same(refused.reset(), other.reset(), "the next episode")


@pytest.mark.parametrize("seed", [2**63 - 2, 2**63, 2**70 + 5])
def test_seeds_beyond_int64(both: Callable[..., Any], seed: int) -> None:
    """The low 63 bits count, for each row by itself."""
    view, sync = both(**FEED)
    same(view.reset(seed=seed), sync.reset(seed=seed), "reset")
    assert view._crowd.seed.tolist() == [(seed + i) % 2**63 for i in range(N)]


def test_negative_seeds_are_gymnasiums_own_error(both: Callable[..., Any]) -> None:
    view, sync = both(**FEED)
    for reset in (view.reset, sync.envs[0].reset):
        with pytest.raises(gym.error.Error, match=r"non-negative|greater or equal to 0|Seed must be"):
            reset(seed=-1)


def test_one_negative_seed_among_many_is_refused(both: Callable[..., Any]) -> None:
    view, _ = both(**FEED)
    with pytest.raises(WrongSetting, match="seed is -1; whole numbers from 0 are needed"):
        view.reset(seed=[0, 1, -1, 2, 3])


def test_the_step_that_begins_an_episode_earns_nothing(both: Callable[..., Any]) -> None:
    """NEXT_STEP: the ignored action of a row that ended is shown to nobody, whatever its people would have done."""
    view, _ = both(**{**SLATES, "visits": 2, "session": FixedLength(6), "max_steps": 3})
    view.reset(seed=2)
    rng, begun = np.random.default_rng(0), 0
    for step in range(24):
        ended = view._ended.copy()
        _, reward, terminated, truncated, info = view.step(sample(view, rng))
        if step % 3 == 0:
            view.reset(seed=[step] * N, options={"reset_mask": np.arange(N) == step % N})  # rows end at other times
        assert not reward[ended].any()
        assert not (terminated | truncated)[ended].any()
        assert (reward[~ended] > 0).all(), "six videos are never all skipped at once in these sessions"
        for name, value in info.items():
            if name[0] != "_" and name not in ("user", "episode"):
                assert not value[ended].any(), name
                assert not info[f"_{name}"][ended].any(), name
        begun += int(ended.sum())
    assert begun > N


def test_a_vector_views_own_time_limit_truncates_also_who_leaves_just_then(lively_users: CalibratedUsers) -> None:
    """As Gymnasium's TimeLimit does; the setting max_steps truncates only who stays."""
    leaving = {**FEED, "session": FixedLength(3), "users": lively_users}
    for name, truncates in (("max_episode_steps", True), ("max_steps", False)):
        view = RecVectorEnv(N, **{**leaving, name: 3})
        view.reset(seed=0)
        for step in range(3):
            _, _, terminated, truncated, _ = view.step(np.full(N, step))
        assert terminated.all()
        assert truncated.tolist() == [truncates] * N
        assert view.step(np.zeros(N, int))[4]["episode"].tolist() == [1] * N
