"""The single view: one user behind `gymnasium.make`. Row 0 of a crowd of one; no dynamics of its own."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from recgym.actions import action_named
from recgym.errors import WrongSetting
from recgym.simulator import Crowd, Turn
from recgym_envs import views
from recgym_envs.render import Screen
from recgym_envs.worlds import make_simulator


class RecEnv(gym.Env[Any, Any]):
    """One simulated user who is shown items and answers with watch time and named feedbacks.

    Observation: "flat", a Box of D numbers (see `recgym.observation.flat_names`), or "history", a Dict with the ids,
    watch times and feedbacks of the last 20 items. Action: "item" (Discrete or MultiDiscrete), "query" (Box, dot
    product with item vectors) or "weights" (Box, fusion of predicted signals). Reward: `Objective.reward`, by default
    seconds watched. `info` names every signal and cost, see `recgym_envs.views.signals`.

    An episode is one visit of one person (or `visits` of them); `terminated` = the user left for good,
    `truncated` = we stopped watching after `max_steps`. `reset(seed=s)` begins episode 0 of seed s; `reset()` the next
    episode of the same seed, which is another person with another luck; `reset(options={"user": u})` picks the person.

    Args:
        world: registered id of the world.
        action: "item", "query" or "weights".
        observation: "flat" or "history".
        render_mode: None, "ansi" (text) or "rgb_array" (a phone-like picture of what was shown and answered).
        settings: `users`, `catalog`, `n_items` and all of `recgym_envs.worlds.SETTINGS`.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 2}  # noqa: RUF012 (Gymnasium's contract)

    def __init__(
        self,
        world: str,
        *,
        action: str = "item",
        observation: str = "flat",
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.simulator = make_simulator(world, **settings)
        self.observation_kind = observation
        self._action = action_named(action, self.simulator)
        self._crowd: Crowd = self.simulator.start(np.zeros(1, np.int64))
        self._signals = views.info_columns(self.simulator)
        self.action_space = self._action.space
        self.observation_space = views.observation_space(observation, self.simulator, self._crowd)
        self.render_mode = _checked_mode(render_mode, self.metadata["render_modes"])
        self._screen = Screen(self.simulator) if render_mode else None
        self._seed: int | None = None
        self._ready = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; see the class for what seeds mean. `info` names the person and the episode."""
        options = views.checked_options(options, ("user",))
        super().reset(seed=seed)
        episode = 0
        if seed is not None:
            self._seed = views.checked_seed(seed)
        elif self._seed is None:
            self._seed = int(self.np_random.integers(2**31))
        else:
            episode = int(self._crowd.episode[0]) + 1
        user = np.atleast_1d(np.asarray(options["user"])) if "user" in options else None
        self._crowd = self.simulator.start(np.array([self._seed]), episode, user)
        self._ready = True
        if self._screen is not None:
            self._screen.clear()
        return self._observed(), {"user": int(self._crowd.user[0]), "episode": episode}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Show the chosen item or slate; see the class for what comes back.

        Raises:
            ResetNeeded: the episode is over, or never began. WrongAction, WrongShape: not an action of this world.
        """
        if not self._ready:
            raise ResetNeeded("call reset() first: the episode is over or has not begun.")
        turn = self.simulator.step(self._crowd, self._action.items(self._crowd, np.asarray(action)[None]))
        terminated, truncated = bool(turn.terminated[0]), bool(turn.truncated[0])
        self._ready = not (terminated or truncated)
        if self._screen is not None:
            self._screen.show(turn, 0)
        return self._observed(), float(turn.reward[0]), terminated, truncated, self._info(turn)

    def render(self) -> Any:
        """The last step as text ("ansi") or as an (H, W, 3) uint8 picture ("rgb_array")."""
        if self._screen is None:
            gym.logger.warn("render() shows nothing without a render_mode; make the environment with one.")
            return None
        return self._screen.text() if self.render_mode == "ansi" else self._screen.picture()

    def _observed(self) -> Any:
        out = views.observed(self.observation_kind, self.simulator, self._crowd)
        return {name: value[0] for name, value in out.items()} if isinstance(out, dict) else out[0]

    def _info(self, turn: Turn) -> dict[str, Any]:
        """Row 0 of `views.signals` in Python's own numbers; written out, since this is half of a fast step."""
        total = turn.total[0].tolist()
        info: dict[str, Any] = {name: total[column] for name, column in self._signals}
        info["left"] = bool(turn.left[0])
        info["return_gap_days"] = float(turn.return_gap_days[0])
        if turn.item.shape[1] == 1:
            info["item"] = int(turn.item[0, 0])
        else:
            info["item"], (watch, feedback) = turn.item[0], turn.response
            info["slate_watch_time_s"], info["slate_feedback"] = watch[0], feedback[0]
        return info


def _checked_mode(render_mode: str | None, allowed: list[str]) -> str | None:
    if render_mode is not None and render_mode not in allowed:
        raise WrongSetting(f"render_mode={render_mode!r}; allowed are None, {', '.join(map(repr, allowed))}.")
    return render_mode
