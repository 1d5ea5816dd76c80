"""Every registered world keeps Gymnasium's rules and ours, and its vector view is its single view n times."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import recgym
from recgym.candidates import RetrievedCandidates, SampledCandidates
from recgym.session import Patience
from recgym.testing import check_env, check_vector_env

# isort: split
from recgym_envs import WORLDS

assert recgym.__version__

SMALL = {"recgym/ShortVideo-v0": {"n_items": 200}, "recgym/SlateFeed-v0": {"n_items": 200}}
"""Worlds whose catalogue may be made smaller."""

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "history": {"observation": "history"},
    "query": {"action": "query"},
    "three visits": {"visits": 3, "max_steps": 40},
    "one step": {"max_steps": 1},
    "all leave at once": {"session": Patience(base_hazard=1.0, satisfaction=0.0)},
    "sampled candidates": {"candidates": SampledCandidates(20)},
    "retrieved candidates": {"candidates": RetrievedCandidates(20), "observation": "history"},
    "weights": {"candidates": SampledCandidates(20), "action": "weights"},
}


def fits(world: str, variant: str) -> bool:
    """Two items are no twenty candidates, and its people leave by a rule of their own."""
    return world in SMALL or variant in ("as it is", "history", "query", "three visits", "one step")


CASES = [case for case in itertools.product(WORLDS.names(), VARIANTS) if fits(*case)]


def settings(world: str, variant: str) -> dict[str, Any]:
    return {**SMALL.get(world, {}), **VARIANTS[variant]}


LONGER = [case for case in CASES if case[1] not in ("one step", "all leave at once")]
"""Gymnasium's checker takes an end at the first step for a fault."""


@pytest.mark.parametrize(("world", "variant"), LONGER)
def test_world_keeps_the_rules(world: str, variant: str):
    check_env(lambda: gym.make(world, **settings(world, variant)))


@pytest.mark.parametrize("world", sorted(SMALL))
def test_world_in_which_all_leave_at_once(world: str):
    env = gym.make(world, **settings(world, "all leave at once"))
    for _ in range(5):
        _, info = env.reset(seed=3)
        assert info["episode"] == 0
        *_, terminated, truncated, info = env.step(np.arange(6) if env.action_space.shape else 1)
        assert (terminated, truncated) == (True, False)
        assert info["cost_early_exit"] == 1
        assert env.reset()[1]["episode"] == 1


@pytest.mark.parametrize(("world", "variant"), CASES)
def test_vector_view_is_n_single_views(world: str, variant: str):
    given = settings(world, variant)
    check_vector_env(
        lambda n: gym.make_vec(world, n, vectorization_mode="vector_entry_point", **given),
        lambda: gym.make(world, **given), n=6, steps=160, seed=3,
    )  # fmt: skip


@pytest.mark.parametrize("world", WORLDS.names())
def test_vector_view_of_one_user_and_of_many(world: str):
    for n in (1, 40):
        check_vector_env(
            lambda n: gym.make_vec(world, n, vectorization_mode="vector_entry_point"), lambda: gym.make(world), n=n,
            steps=120, seed=7,
        )  # fmt: skip


def test_gymnasiums_own_time_limit_is_the_same_in_both_views():
    """`gymnasium.make` wraps the single view; people leave before, at and after the limit."""
    given: dict[str, Any] = {"n_items": 50, "session": Patience(base_hazard=0.2), "max_episode_steps": 5}
    check_vector_env(
        lambda n: gym.make_vec("recgym/ShortVideo-v0", n, vectorization_mode="vector_entry_point", **given),
        lambda: gym.make("recgym/ShortVideo-v0", **given), n=6, steps=100,
    )  # fmt: skip


@pytest.mark.parametrize("first", ["recgym", "recgym_envs", "recgym_envs.worlds", "recgym_envs.single_env"])
def test_packages_can_be_imported_in_any_order(first: str):
    done = subprocess.run(
        [sys.executable, "-c", f"import {first}, recgym, gymnasium; gymnasium.make('recgym/TwoItem-v0')"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-800:]
