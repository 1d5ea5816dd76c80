"""`check_vector_env`: whether many users at once are the same users one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array

from recgym.conformance import copied, difference, leaves, require, untouched_chance
from recgym.conformance_envs import AnyEnv, sample_action


def check_vector_env(
    make_vector: Callable[[int], VectorEnv[Any, Any, Any]],
    make_single: Callable[[], AnyEnv],
    n: int = 8,
    steps: int = 200,
    seed: int = 0,
) -> None:
    """Check that a vector environment is n single ones, bit for bit, across the ends of episodes.

    The vector environment is played beside Gymnasium's SyncVectorEnv of n single environments, with the same actions:
    after `reset(seed=seed)`, after a `reset()` in the middle of episodes, and after a reset with a list of seeds.
    Observations, rewards, both flags and `info` with its `_name` masks must be equal at every step, the steps after
    ends included (NEXT_STEP autoreset: new first observation, reward 0, both flags false, action ignored).

    Args:
        make_vector: makes the vector environment of n users.
        make_single: makes one single environment.
        n: users.
        steps: steps after the first reset; a quarter of them after each of the other two.
        seed: chooses seeds and actions.

    Raises:
        NotConforming: they differ, or no episode ended, so that nothing was seen of autoreset.
    """
    vector, single = make_vector(n), SyncVectorEnv([make_single] * n)
    try:
        _check_spaces(vector, single, n)
        rng = np.random.default_rng(seed)
        phases: list[tuple[Any, int]] = [
            (seed, steps),
            (None, steps // 4),
            ([seed + 7 * i for i in range(n)], steps // 4),
        ]
        ends = sum(_compare_phase(vector, single, rng, given, length) for given, length in phases)
        require(
            ends > 0, "episodes end", f"no episode of {n} users ended in {sum(length for _, length in phases)} steps",
            "Raise `steps`, or make the environments with shorter episodes.",
        )  # fmt: skip
    finally:
        vector.close()
        single.close()


def _check_spaces(vector: VectorEnv[Any, Any, Any], single: SyncVectorEnv, n: int) -> None:
    for name in ("num_envs", "single_observation_space", "single_action_space", "observation_space", "action_space"):
        one, other = getattr(vector, name, None), getattr(single, name)
        require(
            one == other, "the vector view is n single views", f"{name} is {one}, and {other} for {n} single views",
            "Use gymnasium.vector.utils.batch_space on the spaces of the single view.",
        )  # fmt: skip
    mode = getattr(gym.vector, "AutoresetMode", None)
    require(
        mode is None or vector.metadata.get("autoreset_mode") == mode.NEXT_STEP, "autoreset mode",
        f"metadata['autoreset_mode'] is {vector.metadata.get('autoreset_mode')!r}", "Declare AutoresetMode.NEXT_STEP.",
    )  # fmt: skip


def _compare_phase(
    vector: VectorEnv[Any, Any, Any], single: SyncVectorEnv, rng: np.random.Generator, given: Any, steps: int
) -> int:
    """Reset both with `given` seeds, step both, compare everything; returns how many episodes ended."""
    names = ("observation", "reward", "terminated", "truncated", "info")
    with untouched_chance("reset of the vector environment"):
        ours = vector.reset(seed=given)
    _compare_views(f"reset(seed={given})", ("observation", "info"), ours, single.reset(seed=given))
    ends = 0
    for step in range(steps):
        singles = [sample_action(single.single_action_space, rng) for _ in range(single.num_envs)]
        empty = create_empty_array(single.single_action_space, single.num_envs)
        actions = cast(Any, concatenate(single.single_action_space, singles, empty))
        before = copied(leaves(actions, "action"))
        with untouched_chance("step of the vector environment"):
            mine = vector.step(actions)
        changed = difference(before, leaves(actions, "action"))
        require(
            changed is None,
            "inputs stay as they are",
            f"step {step} changed the actions: {changed}",
            "Copy them first.",
        )
        _compare_views(f"reset(seed={given}), step {step}", names, mine, single.step(actions))
        ends += int((mine[2] | mine[3]).sum())
    return ends


def _compare_views(at: str, names: tuple[str, ...], ours: Any, theirs: Any) -> None:
    apart = difference(*(leaves(dict(zip(names, side, strict=True)), "") for side in (ours, theirs)))
    require(
        apart is None, "the vector view is n single views", f"{at}: vector view against single views: {apart}",
        "Row i of the vector view must be the single view with seed + i: draw by row, keep terminal observations, "
        "and restart the rows that ended at the step after.",
    )  # fmt: skip
