"""The adapter for Stable-Baselines3 against a loop of simulator steps written out by hand."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
import torch
from stable_baselines3.common.vec_env.util import obs_space_info
from test_agents_tiny_world import N_ITEMS, candidate_world, tiny_world

from recgym.actions import action_named
from recgym.errors import WrongSetting
from recgym.session import Patience
from recgym.simulator import Simulator
from recgym_agents import make_agent
from recgym_agents.vec_env import SimulatorVecEnv

N = 7


def leaving_world() -> Simulator:
    """Some leave early, nobody stays longer than six steps."""
    world = tiny_world()
    return Simulator(world.users, world.catalog, Patience(base_hazard=0.05), max_steps=6)


def test_it_equals_simulator_steps_one_user_at_a_time() -> None:
    """Each user is played alone through several episodes; the batch must give the same numbers, row by row."""
    world, steps, scale = leaving_world(), 40, 0.1
    action = np.random.default_rng(0).integers(0, N_ITEMS, (steps, N))
    env = SimulatorVecEnv(world, "item", np.arange(N), scale)
    first = env.reset()
    got = [env.step(action[t]) for t in range(steps)]
    ended = {"left": 0, "stopped": 0}
    for i in range(N):
        episode, total, length = 0, 0.0, 0
        crowd = world.start(np.array([i]), episode)
        np.testing.assert_array_equal(first[i], world.flat(crowd)[0])
        for t in range(steps):
            turn = world.step(crowd, action[t, i].reshape(1, 1).astype(np.int32))
            flat, reward, done, infos = got[t]
            total, length = total + turn.reward[0], length + 1
            assert reward[i] == np.float32(turn.reward[0] * scale)
            assert done[i] == (turn.terminated[0] or turn.truncated[0])
            if done[i]:
                last = world.flat(crowd)[0]
                np.testing.assert_array_equal(infos[i]["terminal_observation"], last)
                assert infos[i]["TimeLimit.truncated"] == turn.truncated[0]
                assert infos[i]["episode"]["r"] == pytest.approx(total)
                assert infos[i]["episode"]["l"] == length
                ended["stopped" if turn.truncated[0] else "left"] += 1
                episode, total, length = episode + 1, 0.0, 0
                crowd = world.start(np.array([i]), episode)
                assert (world.flat(crowd)[0] != last).any()
            else:
                assert infos[i] == {}
            np.testing.assert_array_equal(flat[i], world.flat(crowd)[0])  # type: ignore[index]
    assert min(ended.values()) > 5


def test_the_observation_of_the_one_who_left_is_not_overwritten() -> None:
    env = SimulatorVecEnv(tiny_world(length=2), "item", np.arange(N))
    env.reset()
    env.step(np.zeros(N, np.int64))
    _, _, done, infos = env.step(np.full(N, 4))
    assert done.all()
    kept = [info["terminal_observation"].copy() for info in infos]
    env.step(np.full(N, 5))
    for before, info in zip(kept, infos, strict=True):
        np.testing.assert_array_equal(before, info["terminal_observation"])
    assert [info["TimeLimit.truncated"] for info in infos] == [False] * N


def test_later_episodes_bring_other_people() -> None:
    env = SimulatorVecEnv(tiny_world(length=1), "item", np.arange(200))
    env.reset()
    people = []
    for _ in range(3):
        people.append(env._crowd.user.copy())
        env.step(np.zeros(200, np.int64))
    assert (people[0] != people[1]).mean() > 0.8
    assert (people[1] != people[2]).mean() > 0.8
    env.reset()
    np.testing.assert_array_equal(env._crowd.user, people[0])


@pytest.mark.parametrize("action", ["item", "query", "weights"])
def test_actions_mean_what_recgym_says(action: str) -> None:
    world = candidate_world()
    env = SimulatorVecEnv(world, action, np.arange(N))
    env.reset()
    env.action_space.seed(0)
    chosen = np.array([env.action_space.sample() for _ in range(N)])
    crowd = world.start(np.arange(N))
    turn = world.step(crowd, action_named(action, world).items(crowd, chosen))
    flat, reward, _, _ = env.step(chosen)
    np.testing.assert_array_equal(flat, world.flat(crowd))
    np.testing.assert_array_equal(reward, turn.reward.astype(np.float32))


def test_it_is_a_vec_env() -> None:
    env = SimulatorVecEnv(tiny_world(), "query", np.arange(N))
    _, shapes, _ = obs_space_info(env.observation_space)
    assert env.num_envs == N
    assert shapes[None] == env.reset().shape[1:]
    assert env.get_attr("reward_scale", [0, 1]) == [1.0, 1.0]
    assert env.env_is_wrapped(object, 0) == [False]
    with pytest.raises(AttributeError, match="cannot be set"):
        env.set_attr("reward_scale", 3)
    with pytest.raises(AttributeError, match="holds no single environments"):
        env.env_method("step", 3)
    env.close()


def test_items_on_slates_are_refused() -> None:
    for name in ("ppo", "a2c", "dqn"):
        with pytest.raises(WrongSetting, match=r"items would repeat; this world shows 3 items a step. Use query"):
            make_agent(name, tiny_world(slate_size=3), action="item")


def test_weights_need_candidates() -> None:
    with pytest.raises(WrongSetting, match="ranks candidates"):
        make_agent("ppo", tiny_world(), action="weights")


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_training_leaves_the_global_generators_alone(name: str) -> None:
    small = {"steps": 64, "n_users": 8, "hidden": (4,)} | ({"learning_starts": 16, "batch": 8} if name == "sac" else {})
    agent = make_agent(name, tiny_world(), **small)
    torch_state, numpy_state, python_state = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    agent.learn(None, 5)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state[1]).all()  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == python_state


def test_reports_have_the_names_everybody_uses() -> None:
    seen: dict[str, list[float]] = {}
    at: list[int] = []

    def report(step: int, scalars: object) -> None:
        at.append(step)
        for name, value in scalars.items():  # type: ignore[attr-defined]
            seen.setdefault(name, []).append(value)

    agent = make_agent("ppo", tiny_world(), steps=512, n_users=16, rollout_steps=8, hidden=(8,), reward_scale=0.01)
    means = agent.learn(None, 0, report)
    assert at == sorted(at)
    assert at[-1] == 512
    assert {"rollout/reward_mean", "rollout/depth", "train/loss"} <= set(seen) == set(means)
    assert set(seen["rollout/depth"]) == {5.0}
    assert 5 * 2 < np.mean(seen["rollout/reward_mean"]) < 5 * 20, "rewards are reported in seconds, not scaled"


def test_the_dead_gym_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import recgym_agents.stable_baselines"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Gym has been unmaintained" not in done.stderr + done.stdout
