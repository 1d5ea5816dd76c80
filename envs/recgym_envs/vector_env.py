"""The vector view: many users behind `gymnasium.make_vec`, stepped as one crowd. Bit-equal to many single views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from recgym.actions import ItemAction, action_named
from recgym.errors import RecGymError, WrongSetting, WrongShape
from recgym.simulator import Crowd, Turn
from recgym_envs import views
from recgym_envs.render import Screen
from recgym_envs.single_env import RecEnv, _checked_mode
from recgym_envs.worlds import make_simulator

_AUTORESET_MODE = getattr(gym.vector, "AutoresetMode", None)


class RecVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """n simulated users at once; see `RecEnv` for observations, actions, rewards and settings.

    `reset(seed=s)` gives row i the seed s + i (or takes a list); `reset()` goes to the next episode of the same seeds;
    `options` may name `user` (n,) and `reset_mask` (n,) bool. Autoreset is Gymnasium's NEXT_STEP: the step after an end
    ignores that row's action and returns the new first observation with reward 0 and both flags false. That step is no
    transition: never learn from it. `info` holds arrays with Gymnasium's `_name` masks.

    Args:
        num_envs: n, at least 1.
        max_episode_steps: Gymnasium's own time limit; as its wrapper for single environments, it truncates also where
            the user leaves at that very step.
    """

    metadata = {  # noqa: RUF012 (Gymnasium's contract)
        **RecEnv.metadata,
        **({"autoreset_mode": _AUTORESET_MODE.NEXT_STEP} if _AUTORESET_MODE else {}),
    }

    def __init__(
        self,
        num_envs: int,
        world: str,
        *,
        action: str = "item",
        observation: str = "flat",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **settings: Any,
    ) -> None:
        if num_envs < 1:
            raise WrongSetting(f"num_envs is {num_envs}; at least 1 is needed.")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise WrongSetting(f"max_episode_steps is {max_episode_steps}; at least 1 is needed.")
        self._max_episode_steps = max_episode_steps
        self.num_envs = num_envs
        self.simulator = make_simulator(world, **settings)
        self.observation_kind = observation
        self._action = action_named(action, self.simulator)
        self._crowd: Crowd = self.simulator.start(np.zeros(num_envs, np.int64))
        self.single_action_space = self._action.space
        self.single_observation_space = views.observation_space(observation, self.simulator, self._crowd)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.render_mode = _checked_mode(render_mode, self.metadata["render_modes"])
        self._screens = [Screen(self.simulator) for _ in range(num_envs)] if render_mode else []
        self._seeds: np.ndarray | None = None
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin episodes for all rows, or for those in `options["reset_mask"]`; see the class."""
        options = views.checked_options(options, ("user", "reset_mask"))
        super().reset(seed=seed if isinstance(seed, int) else None)
        rows = self._rows(options.get("reset_mask"))
        seeds, given = self._given_seeds(seed, rows)
        user = self._persons(options.get("user"), rows)
        if self._seeds is None:
            self._crowd = self.simulator.start(seeds, 0, user)
        else:
            crowd = self._crowd
            before = crowd.seed[given], crowd.episode[given]
            crowd.seed[given], crowd.episode[given] = seeds[given], -1
            try:
                self.simulator.restart(crowd, rows, user)
            except RecGymError:
                crowd.seed[given], crowd.episode[given] = before
                raise
        self._seeds = seeds
        self._ended[rows] = False
        for row in rows if self._screens else ():
            self._screens[row].clear()
        mask = np.zeros(self.num_envs, bool)
        mask[rows] = True
        return self._observed(), self._begun(mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Show every user the chosen item or slate; rows that ended begin their next episode instead."""
        if self._seeds is None:
            raise gym.error.ResetNeeded("call reset() first.")
        ended = np.flatnonzero(self._ended)
        actions = np.asarray(actions)
        if len(ended):
            actions = self._ignored(actions, ended)
        turn = self.simulator.step(self._crowd, self._action.items(self._crowd, actions))
        acted = ~self._ended
        reward, terminated, truncated = turn.reward, turn.terminated, turn.truncated
        if self._max_episode_steps is not None:  # as Gymnasium's TimeLimit: also where the user leaves just then
            truncated |= self._crowd.step >= self._max_episode_steps
        if len(ended):
            _erase(turn, ended)
        info: dict[str, Any] = views.signals(self.simulator, turn)
        for row in range(len(self._screens)):
            self._screens[row].show(turn, row)
        if len(ended) < self.num_envs:
            info.update({f"_{name}": acted for name in list(info)})
        else:
            info = {}
        if len(ended):
            self.simulator.restart(self._crowd, ended)
            info.update(self._begun(self._ended))
            for begun in ended.tolist() if self._screens else ():
                self._screens[begun].clear()
        self._ended = terminated | truncated
        return self._observed(), reward, terminated, truncated, info

    def render(self) -> tuple[Any, ...] | None:
        """One text or picture per user, see `RecEnv.render`."""
        if not self._screens:
            return None
        return tuple(s.text() if self.render_mode == "ansi" else s.picture() for s in self._screens)

    def _observed(self) -> Any:
        return views.observed(self.observation_kind, self.simulator, self._crowd)

    def _begun(self, mask: np.ndarray) -> dict[str, Any]:
        user, episode = np.where(mask, self._crowd.user, 0), np.where(mask, self._crowd.episode, 0)
        return {"user": user, "_user": mask, "episode": episode, "_episode": mask}

    def _rows(self, reset_mask: Any) -> np.ndarray:
        if reset_mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(reset_mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise WrongShape(
                f"reset_mask has shape {mask.shape}, type {mask.dtype}; ({self.num_envs},) bool is needed."
            )
        if self._seeds is None and not mask.all():
            raise WrongSetting("the first reset begins all rows; give reset_mask only afterwards.")
        return np.flatnonzero(mask)

    def _persons(self, user: Any, rows: np.ndarray) -> np.ndarray | None:
        """The persons asked for, one for each of `rows`; a single number means the same person everywhere."""
        if user is None:
            return None
        persons = np.asarray(user)
        if persons.shape not in ((), (self.num_envs,)):
            raise WrongShape(f"options['user'] has shape {persons.shape}; one number or {self.num_envs} are needed.")
        return np.asarray(np.broadcast_to(persons, (self.num_envs,))[rows])

    def _given_seeds(self, seed: int | Sequence[int | None] | None, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All seeds after this reset, and the `rows` that were given one. Unseeded rows draw theirs once, at first."""
        n = self.num_envs
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + i for i in range(n)]
        wanted: list[int | None] = [None] * n if seed is None else list(seed)
        if len(wanted) != n:
            raise WrongShape(f"{len(wanted)} seeds were given for {n} users; one each is needed.")
        seeds = self.np_random.integers(2**31, size=n) if self._seeds is None else self._seeds.copy()
        given = np.array([row for row in rows.tolist() if wanted[row] is not None], np.int64)
        for row in given.tolist():
            seeds[row] = views.checked_seed(wanted[row] or 0)
        return seeds, given

    def _ignored(self, actions: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """The actions with harmless ones in the rows that are about to begin anew."""
        if actions.shape[:1] != (self.num_envs,):
            return actions
        actions = actions.copy()
        is_slate = isinstance(self._action, ItemAction) and actions.ndim > 1
        actions[ended] = np.arange(actions.shape[1]) if is_slate else 0
        return actions


def _erase(turn: Turn, rows: np.ndarray) -> None:
    """Make it as if nothing had happened in the rows that only begin anew; a turn's arrays are nobody else's."""
    for array in (turn.item, *turn.response, turn.total, turn.reward, turn.left, turn.return_gap_days, turn.terminated,
                  turn.truncated):  # fmt: skip
        array[rows] = 0
