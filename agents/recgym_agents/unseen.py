"""Actions that leave out what the user was shown last: what agents play, and what they learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from recgym.actions import Action, action_named
from recgym.observation import HISTORY, Observation
from recgym.simulator import Crowd, Simulator
from recgym_agents.slates import unseen_first


class UnseenAction:
    """The action "query" or "weights" with the best k items that are not in the user's visible history (last 20).

    Ranks k + 20 items as the action of `recgym.actions` does and keeps the first k unseen ones; seen ones fill up where
    too few others are left. Training and playing both decode with it, so what is learned is what is played.
    """

    def __init__(self, name: str, simulator: Simulator) -> None:
        self.slate_size = simulator.slate_size
        ranked = min(simulator.slate_size + HISTORY, simulator.n_actions)
        self.ranking = action_named(name, replace(simulator, slate_size=ranked))
        self.space: spaces.Space[Any] = self.ranking.space

    def items(self, crowd: Crowd, action: np.ndarray) -> np.ndarray:
        """See `Action.items`."""
        return unseen_first(self.ranking.items(crowd, action), crowd.recorder.item, self.slate_size)


def played_action(name: str, simulator: Simulator, repeats: bool) -> Action:
    """What agents decode their vectors or items with; with `repeats`, or for items, the action of `recgym.actions`."""
    return action_named(name, simulator) if repeats or name == "item" else UnseenAction(name, simulator)


def seen_places(history_item: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """(n, 20) int32: where the items of the history stand among the actions, -1 = nowhere.

    Args:
        history_item: (n, 20) int32, -1 = nothing yet; the order does not matter.
        candidate: (n, m) int32; m = 0 means the whole catalogue, where an item's place is its number.
    """
    if not candidate.shape[1]:
        return history_item
    same = (candidate[:, None, :] == history_item[:, :, None]) & (history_item[:, :, None] >= 0)
    return np.where(same.any(axis=2), same.argmax(axis=2), -1).astype(np.int32)


def with_seen_places(flat: np.ndarray, history_item: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """(n, D + 20) float32: flat observations (n, D), then `seen_places`; what networks over items are given."""
    return np.concatenate([flat, seen_places(history_item, candidate)], axis=1, dtype=np.float32)


class SeenCrowd:
    """As much of a `Crowd` as the actions "item" and "query" read, from what a policy sees."""

    class Recorder:
        """As much of a `recgym.observation.Recorder` as `UnseenAction` reads."""

        def __init__(self, item: np.ndarray) -> None:
            self.item = item

    def __init__(self, observation: Observation) -> None:
        self.candidate = observation.candidate
        self.recorder = self.Recorder(observation.history_item)

    def __len__(self) -> int:
        return len(self.candidate)
