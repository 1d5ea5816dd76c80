"""Agents of Stable-Baselines3 leave out the user's last 20 items: what is learned is what is played, row by row."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
import torch
from test_agents_tiny_world import N_ITEMS, candidate_world, slate_world, tiny_world

from recgym.noise import Noise
from recgym.rollout import rollout
from recgym.simulator import Simulator
from recgym_agents import make_agent
from recgym_agents.stable_baselines_networks import without_seen
from recgym_agents.unseen import UnseenAction, seen_places, with_seen_places
from recgym_agents.vec_env import SimulatorVecEnv

N = 9
SMALL: dict[str, Any] = {"steps": 144, "n_users": 9, "hidden": (8,)}
OFF_POLICY = SMALL | {"learning_starts": 36, "batch": 8, "gradient_steps": 1}
LEARNERS = [
    *((name, action, SMALL) for name in ("ppo", "a2c") for action in ("query", "item")),
    ("sac", "query", OFF_POLICY), ("td3", "query", OFF_POLICY), ("dqn", "item", OFF_POLICY),
]  # fmt: skip


def by_hand(world: Simulator, vector: np.ndarray, seen: set[int], allowed: list[int]) -> list[int]:
    """The slate of one user, from the definition: unseen items by falling dot product, then seen ones."""
    score = world.catalog.vector @ vector
    ranked = sorted(allowed, key=lambda x: -score[x])
    return ([x for x in ranked if x not in seen] + [x for x in ranked if x in seen])[: world.slate_size]


@pytest.mark.parametrize("world", [tiny_world(length=16), slate_world(), replace(candidate_world(), slate_size=2)])
def test_queries_show_the_best_unseen_items(world: Simulator) -> None:
    crowd, action = world.start(np.arange(N)), UnseenAction("query", world)
    draw = np.random.default_rng(0)
    shown: list[set[int]] = [set() for _ in range(N)]
    for _ in range(4 if world.slate_size > 1 else 14):
        query = draw.uniform(-1, 1, (N, 4)).astype(np.float32)
        item = action.items(crowd, query)
        for i in range(N):
            allowed = crowd.candidate[i].tolist() or list(range(N_ITEMS))
            assert item[i].tolist() == by_hand(world, query[i], shown[i], allowed)
            shown[i] |= set(item[i].tolist())
        world.step(crowd, item)


def test_weights_show_the_best_unseen_candidates() -> None:
    """With everything offered at every step, 12 steps show 12 items, the first of them as without the rule."""
    world = replace(candidate_world(), session=tiny_world(length=20).session)
    crowd, action = world.start(np.arange(N)), UnseenAction("weights", world)
    for _ in range(12):
        ranked = action.ranking.items(crowd, np.ones((N, 3), np.float32))
        item = action.items(crowd, np.ones((N, 3), np.float32))
        for i in range(N):
            unseen = [x for x in ranked[i] if x not in set(crowd.recorder.item[i].tolist())]
            assert item[i, 0] == (unseen or ranked[i].tolist())[0]
        world.step(crowd, item)


def test_places_of_seen_items() -> None:
    history = np.array([[4, -1, 2], [7, 4, 4]], np.int32)
    nothing = np.empty((2, 0), np.int32)
    np.testing.assert_array_equal(seen_places(history, nothing), history)
    candidate = np.array([[2, 9, 4], [4, 0, 1]], np.int32)
    np.testing.assert_array_equal(seen_places(history, candidate), [[2, -1, 0], [-1, 0, 0]])
    flat = np.ones((2, 5), np.float32)
    assert with_seen_places(flat, history, candidate).tolist()[0] == [1, 1, 1, 1, 1, 2, -1, 0]


def test_seen_values_are_replaced_unless_all_are_seen() -> None:
    value = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    place = torch.tensor([[2.0, -1.0, 2.0], [0.0, 1.0, 2.0], [-1.0, -1.0, -1.0]])
    assert without_seen(value, place, -9.0).tolist() == [[1, 2, -9], [1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(("name", "action", "small"), LEARNERS)
@pytest.mark.parametrize("stochastic", [False, True])
def test_trained_policies_never_repeat(name: str, action: str, small: dict[str, Any], stochastic: bool) -> None:
    world = tiny_world(length=N_ITEMS)
    explore = {"epsilon": 1e-9} if name == "dqn" else {}
    agent = make_agent(name, world, action=action, stochastic=stochastic, **small, **explore)
    agent.learn(None, 0)
    item = rollout(agent.policy, world, np.arange(20)).array("item").reshape(20, N_ITEMS)
    assert (np.sort(item, axis=1) == np.arange(N_ITEMS)).all()


@pytest.mark.parametrize(("name", "action", "small"), LEARNERS)
def test_with_repeats_the_best_item_comes_again(name: str, action: str, small: dict[str, Any]) -> None:
    world = tiny_world(length=12)
    agent = make_agent(name, world, action=action, repeats=True, **small)
    agent.learn(None, 0)
    item = rollout(agent.policy, world, np.arange(20)).array("item").reshape(20, 12)
    assert min(len(set(row)) for row in item.tolist()) < 12


@pytest.mark.parametrize(("name", "action", "small"), LEARNERS)
def test_what_is_learned_is_what_is_played(name: str, action: str, small: dict[str, Any]) -> None:
    """The network's own action, stepped in the learner's world, shows the items that the finished policy shows."""
    world = tiny_world(length=30)
    agent = make_agent(name, world, action=action, **small)
    agent.learn(None, 0)
    env = SimulatorVecEnv(world, action, np.arange(N), repeats=False)
    flat: Any = env.reset()
    crowd = world.start(np.arange(N))
    for _ in range(25):
        chosen, _ = agent.policy.network.predict(flat, deterministic=True)
        item = agent.policy.act(world.observe(crowd), (), crowd.noise()).item
        flat, _, _, _ = env.step(chosen)
        world.step(crowd, item)
        np.testing.assert_array_equal(env._crowd.recorder.item, crowd.recorder.item)


@pytest.mark.parametrize(("name", "action", "small"), LEARNERS)
def test_one_alone_is_shown_what_he_is_shown_among_many(name: str, action: str, small: dict[str, Any]) -> None:
    world = tiny_world(length=30)
    policy = make_agent(name, world, action=action, stochastic=True, **small).policy
    crowd = world.start(np.arange(N))
    for _ in range(4):
        seen, noise = world.observe(crowd), crowd.noise()
        together = policy.act(seen, (), noise)
        for i in range(N):
            alone = policy.act(seen.rows(slice(i, i + 1)), (), Noise(noise.key[i : i + 1], noise.step[i : i + 1]))
            np.testing.assert_array_equal(alone.item[0], together.item[i])
            np.testing.assert_array_equal(alone.log_prob[0], together.log_prob[i])
        world.step(crowd, together.item)


def test_probabilities_are_those_of_unseen_items() -> None:
    """Untrained logits are nearly equal, so each of m unseen items has a probability near 1 / m, a seen one 0."""
    world = tiny_world(length=30)
    policy = make_agent("ppo", world, action="item", stochastic=True, **SMALL).policy
    crowd = world.start(np.arange(400))
    for left in (12, 11, 10):
        choice = policy.act(world.observe(crowd), (), crowd.noise())
        np.testing.assert_allclose(np.exp(choice.log_prob), 1 / left, rtol=0.1)
        world.step(crowd, choice.item)
    for before, after in pairwise(crowd.recorder.item[:, :3].T):
        assert (before != after).all()
