"""Stable-Baselines3 over the native batch: a `VecEnv` that steps n users at once, without a loop over them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from recgym.simulator import Simulator
from recgym_agents.unseen import played_action, with_seen_places

# Where the dead `gym` is installed (d3rlpy requires it), importing Stable-Baselines3 prints its farewell: empty that.
with contextlib.suppress(ImportError):
    importlib.import_module("gym_notices.notices").notices.clear()

from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnv,
    VecEnvIndices,
    VecEnvStepReturn,
)


class SimulatorVecEnv(VecEnv):
    """n users of a simulator, as Stable-Baselines3 wants to see them.

    Ended episodes restart within the same step (what Stable-Baselines3 expects): the observation returned is the first
    of the next person's episode, `terminal_observation` in the info is the last of the user who left, and
    `TimeLimit.truncated` says that we stopped watching a user who was still there. So no dummy transition is ever
    learned from. The info of an ended episode also holds `episode` as the Monitor wrapper writes it, its
    `r` in unscaled reward. The next episode of a seed draws another person.

    Args:
        simulator: the world.
        action: "item", "query" or "weights".
        seed: (n,) int64, one seed per user.
        reward_scale: every reward is multiplied by it.
        repeats: whether an item among the user's last 20 may be shown again. If not, queries and weights are decoded
            by `UnseenAction`; with the action "item", 20 columns more tell the network which ones to leave out
            (`with_seen_places`), and an item that is chosen nonetheless (when exploring) is shown.
    """

    def __init__(
        self, simulator: Simulator, action: str, seed: np.ndarray, reward_scale: float = 1.0, repeats: bool = True
    ) -> None:
        self.simulator = simulator
        self.action = played_action(action, simulator, repeats)
        self.user_seed = np.asarray(seed, np.int64)
        self.reward_scale = reward_scale
        self.render_mode = None
        self._crowd = simulator.start(self.user_seed)
        self._reward_sum = np.zeros(len(self.user_seed))
        self._action = np.empty(0)
        self._tells_seen = action == "item" and not repeats
        width = self._observed().shape[1]
        super().__init__(len(self.user_seed), spaces.Box(-np.inf, np.inf, (width,), np.float32), self.action.space)

    def reset(self) -> np.ndarray:
        """(n, D) float32: everybody begins episode 0 of the own seed."""
        self._crowd = self.simulator.start(self.user_seed)
        self._reward_sum[:] = 0
        return self._observed()

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions of all users until `step_wait`."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Show the slates, restart who is done; observation (n, D), reward (n,) float32, done (n,) bool, infos."""
        turn = self.simulator.step(self._crowd, self.action.items(self._crowd, self._action))
        self._reward_sum += turn.reward
        done = turn.terminated | turn.truncated
        flat = self._observed()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        rows = np.flatnonzero(done)
        if len(rows):
            steps = self._crowd.step[rows]
            for row, length in zip(rows.tolist(), steps.tolist(), strict=True):
                infos[row] = {
                    "terminal_observation": flat[row].copy(),
                    "TimeLimit.truncated": bool(turn.truncated[row]),
                    "episode": {"r": float(self._reward_sum[row]), "l": length, "t": 0.0},
                }
            self._reward_sum[rows] = 0
            self.simulator.restart(self._crowd, rows)
            flat[rows] = self._observed()[rows]
        return flat, (turn.reward * self.reward_scale).astype(np.float32), done, infos

    def _observed(self) -> np.ndarray:
        crowd = self._crowd
        flat = self.simulator.flat(crowd)
        return with_seen_places(flat, crowd.recorder.item, crowd.candidate) if self._tells_seen else flat

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of this one object, once for each user."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refused: the users share one simulator, which does not change."""
        raise AttributeError(f"{attr_name!r} cannot be set: the users of a SimulatorVecEnv share one frozen simulator.")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Refused: there are no single environments inside."""
        raise AttributeError(f"{method_name!r} cannot be called: a SimulatorVecEnv holds no single environments.")

    def env_is_wrapped(self, wrapper_class: type, indices: VecEnvIndices = None) -> list[bool]:
        """No user is wrapped in anything."""
        return [False for _ in self._get_indices(indices)]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """The seeds of the users stay those given at the start; returned for the record."""
        return [int(one) for one in self.user_seed]
