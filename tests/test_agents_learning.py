"""Every learning agent finds the best item of the tiny world, where its value is known: 20 s an exposure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
from test_agents_tiny_world import (
    BEST,
    BEST_S,
    N_ITEMS,
    TwoKinds,
    candidate_world,
    log_of,
    seconds_per_exposure,
    tiny_world,
)

from recgym.rollout import rollout
from recgym_agents import make_agent

FEW_ROWS: dict[str, Any] = {"hidden": (32,), "batch": 64, "learning_rate": 3e-3, "epochs": 20, "patience": 5}
SHARED: dict[str, Any] = {"n_users": 64, "hidden": (32,), "gamma": 0.0, "reward_scale": 0.1, "repeats": True}
ON_POLICY: dict[str, Any] = SHARED | {"learning_rate": 3e-3, "action_noise": 1.0}
OFF_POLICY: dict[str, Any] = SHARED | {"learning_starts": 640, "batch": 64, "learning_rate": 3e-4}
RANDOM_S = (BEST_S + sum(2 + 0.2 * j for j in range(N_ITEMS)) - np.mean([2 + 0.2 * j for j in BEST])) / N_ITEMS

LEARNERS: dict[str, dict[str, Any]] = {
    "ppo query": ON_POLICY | {"steps": 40_000, "rollout_steps": 10, "batch": 64},
    "ppo item": ON_POLICY | {"steps": 30_000, "rollout_steps": 10, "batch": 64, "action": "item"},
    "a2c query": ON_POLICY | {"steps": 60_000},
    "a2c item": ON_POLICY | {"steps": 40_000, "action": "item"},
    "dqn item": OFF_POLICY | {"steps": 20_000, "learning_rate": 2e-3, "target_interval": 5},
    "sac query": OFF_POLICY | {"steps": 20_000, "learning_rate": 2e-3},
}


def test_random_earns_what_arithmetic_says() -> None:
    world = tiny_world()
    assert seconds_per_exposure(make_agent("random", world).policy, world, 1_000) == pytest.approx(RANDOM_S, rel=0.05)


def test_popularity_finds_an_item_that_half_the_people_love() -> None:
    world = tiny_world()
    agent = make_agent("popularity", world, repeats=True)
    agent.learn(log_of(make_agent("random", world).policy, world), 0)
    assert set(rollout(agent.policy, world, np.arange(30)).array("item")) <= set(BEST)


def test_ranker_finds_the_best_item_of_each_kind() -> None:
    world = tiny_world()
    agent = make_agent("watch_time_ranker", world, repeats=True, **FEW_ROWS)
    agent.learn(log_of(make_agent("random", world).policy, world, 600), 0)
    assert seconds_per_exposure(agent.policy, world) > 0.95 * BEST_S


def test_cloning_does_what_was_shown() -> None:
    """The log's policy shows the best item with probability 0.7 + 0.3 / 12, and so does its clone."""

    class MostlyBest:
        def __init__(self) -> None:
            self.oracle, self.random = make_agent("oracle", world).policy, make_agent("random", world).policy

        def start(self, n: int) -> tuple[()]:
            return ()

        def look(self, simulator: Any, crowd: Any) -> None:
            self.oracle.look(simulator, crowd)

        def act(self, observation: Any, memory: Any, noise: Any) -> Any:
            best, other = self.oracle.act(observation, (), noise), self.random.act(observation, (), noise)
            explore = noise.uniform("policy explore") < 0.3
            return best._replace(item=np.where(explore, other.item, best.item))

    world = tiny_world()
    log = log_of(MostlyBest(), world, 1_000)
    agent = make_agent("behaviour_cloning", world, **FEW_ROWS)
    agent.learn(log, 0)
    seconds = seconds_per_exposure(agent.policy, world, 600)
    assert seconds == pytest.approx(0.7 * BEST_S + 0.3 * RANDOM_S, rel=0.08)


@pytest.mark.parametrize("which", LEARNERS)
def test_learner_finds_the_best_item_of_each_kind(which: str) -> None:
    world = tiny_world()
    agent = make_agent(which.split()[0], world, **LEARNERS[which])
    assert seconds_per_exposure(agent.policy, world) < 0.75 * BEST_S
    agent.learn(None, 0)
    assert seconds_per_exposure(agent.policy, world) > 0.9 * BEST_S


def test_td3_finds_the_best_item() -> None:
    """Best for everybody.

    With one for each kind, TD3 often stops at one of them: its deterministic actor moves along the slope of a value
    that, over queries, is a flight of steps, and saturates before the kinds are told apart.
    """
    world = tiny_world(users=TwoKinds((7, 7)))
    settings = OFF_POLICY | {"learning_starts": 3_200, "learning_rate": 1e-3, "reward_scale": 0.05}
    agent = make_agent("td3", world, steps=10_000, action_noise=0.5, gradient_steps=4, **settings)
    agent.learn(None, 0)
    assert seconds_per_exposure(agent.policy, world) > 0.95 * BEST_S


def test_ppo_learns_to_weigh_predicted_signals() -> None:
    """Among six candidates, weighing predicted watch time up beats a random choice by far."""
    world = candidate_world()
    agent = make_agent("ppo", world, action="weights", **(ON_POLICY | {"steps": 20_000}))
    agent.learn(None, 0)
    assert seconds_per_exposure(agent.policy, world) > 1.5 * RANDOM_S
