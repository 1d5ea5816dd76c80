"""What an agent's action means: an item, a query vector, or weights that fuse predicted signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from gymnasium import spaces

from recgym.compiled import compiled
from recgym.errors import WrongAction, WrongSetting, WrongShape, unknown_name
from recgym.ranking import top_k_of_query, top_k_of_scores
from recgym.simulator import Crowd, Simulator
from recgym.user_model import ExpectingUserModel


class Action(Protocol):
    """Turns actions of n users into slates. `space` is that of one user."""

    space: spaces.Space[Any]

    def items(self, crowd: Crowd, action: np.ndarray) -> np.ndarray:
        """(n, k) int32 item numbers from the actions of all users, axis 0 the user."""
        ...


class ItemAction:
    """The action is the item: its number in the catalogue, or its position among the candidates where there are some.

    Space: Discrete(m) for one item, MultiDiscrete of k times m for slates. No slate shows an item twice: a number that
    stands further left already becomes the next free one, so that every action of the space can be carried out.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        n, k = simulator.n_actions, simulator.slate_size
        self.space: spaces.Space[Any] = spaces.Discrete(n) if k == 1 else spaces.MultiDiscrete(np.full(k, n))

    def items(self, crowd: Crowd, action: np.ndarray) -> np.ndarray:
        """See `Action.items`; `action` is (n,) or (n, k) whole numbers."""
        action = np.asarray(action)
        n, k, room = len(crowd), self.simulator.slate_size, self.simulator.n_actions
        if action.dtype.kind not in "iu" or action.shape not in (((n,), (n, 1)) if k == 1 else ((n, k),)):
            raise WrongShape(
                f"item actions have shape {action.shape} and type {action.dtype}; {(n,) if k == 1 else (n, k)} "
                f"whole numbers from 0 to {room - 1} are needed."
            )
        action = action.reshape(n, k)
        row = _first_outside(action, room)
        if row >= 0:
            raise WrongAction(
                f"row {row}: action {action[row].tolist()}; whole numbers from 0 to {room - 1} are needed."
            )
        if k > 1:
            action = _distinct(action, room)
        if not self.simulator.candidates.size:
            return np.array(action, np.int32)
        return np.take_along_axis(crowd.candidate, action.astype(np.int64), axis=1)


class QueryAction:
    """The action is a vector; the k items whose vectors have the largest dot product with it are shown.

    Space: Box(-1, 1, (d,)). Candidates restrict the search where there are some.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (simulator.catalog.vector.shape[1],), np.float32)

    def items(self, crowd: Crowd, action: np.ndarray) -> np.ndarray:
        """See `Action.items`; `action` is (n, d) finite numbers."""
        query = _checked_box("query", action, (len(crowd), self.simulator.catalog.vector.shape[1]))
        catalog, k = self.simulator.catalog, self.simulator.slate_size
        if not self.simulator.candidates.size:
            return top_k_of_query(query, catalog.vector_columns, k)
        score = (catalog.vector[crowd.candidate] * query[:, None, :]).sum(axis=2)
        return np.take_along_axis(crowd.candidate, top_k_of_scores(score, k).astype(np.int64), axis=1)


@dataclass(frozen=True)
class FusedSignals:
    """How the `weights` action sees the predicted signals."""

    blur: float = 0.5
    """Standard deviation of the prediction error, in units of each signal's spread over the candidates."""


class WeightsAction:
    """The action weighs predicted signals, as production rankers do; the k best candidates are shown.

    The signals are log(1 + expected seconds) and the log-odds of each feedback, each standardised over the user's
    candidates; the predictions are the user model's own expectations with an error of `FusedSignals.blur`. Space:
    Box(-1, 1, (1 + F,)), first watch time, then the feedbacks in order. Needs candidates and a model with `expect`.
    """

    def __init__(self, simulator: Simulator, settings: FusedSignals | None = None) -> None:
        if not simulator.candidates.size:
            raise WrongSetting(
                "the 'weights' action ranks candidates, but this world offers the whole catalogue; "
                "pass candidates=SampledCandidates(100) or RetrievedCandidates(100)."
            )
        if not isinstance(simulator.users, ExpectingUserModel):
            raise WrongSetting(
                f"the 'weights' action needs predicted signals; {type(simulator.users).__name__} has no `expect`."
            )
        self.simulator = simulator
        self.users: ExpectingUserModel[Any] = simulator.users
        self.settings = settings or FusedSignals()
        self.signals = ("watch_time_s", *simulator.users.feedback)
        self.space: spaces.Space[Any] = spaces.Box(-1.0, 1.0, (len(self.signals),), np.float32)

    def items(self, crowd: Crowd, action: np.ndarray) -> np.ndarray:
        """See `Action.items`; `action` is (n, 1 + F) finite numbers."""
        weight = _checked_box("weights", action, (len(crowd), len(self.signals)))
        score = (self._predicted(crowd) * weight[:, None, :]).sum(axis=2)
        best = top_k_of_scores(score, self.simulator.slate_size)
        return np.take_along_axis(crowd.candidate, best.astype(np.int64), axis=1)

    def _predicted(self, crowd: Crowd) -> np.ndarray:
        """(n, m, 1 + F) float64: standardised, blurred predictions for every candidate."""
        expected = self.users.expect(crowd.state, crowd.candidate, self.simulator.catalog)
        p = np.clip(expected.probability.astype(np.float64), 1e-7, 1 - 1e-7)
        signal = np.concatenate([np.log1p(expected.watch_time_s.astype(np.float64))[..., None], np.log(p / (1 - p))], 2)
        signal = np.ascontiguousarray(signal.transpose(0, 2, 1))
        spread = signal.std(axis=2, keepdims=True)
        signal = (signal - signal.mean(axis=2, keepdims=True)) / np.where(spread > 0, spread, 1)
        error = crowd.noise().normal("prediction", signal[0].size).reshape(signal.shape)
        return np.asarray((signal + self.settings.blur * error).transpose(0, 2, 1))


def _checked_box(name: str, action: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    action = np.asarray(action)
    if action.shape != shape or action.dtype.kind not in "fiu":
        raise WrongShape(f"{name} actions have shape {action.shape}, type {action.dtype}; {shape} numbers are needed.")
    fine = np.abs(action) <= _LARGEST  # False for NaN
    if not fine.all():
        row = int((~fine).any(axis=1).argmax())
        raise WrongAction(
            f"row {row}: {name} action {action[row].tolist()}; finite numbers up to {_LARGEST:g} are needed."
        )
    return np.asarray(action, np.float32)


@compiled
def _first_outside(action: np.ndarray, room: int) -> int:
    """The first row of (n, k) whole numbers that holds one outside 0 .. room - 1; -1 if there is none."""
    for i in range(action.shape[0]):
        for j in range(action.shape[1]):
            if action[i, j] < 0 or action[i, j] >= room:
                return i
    return -1


def _distinct(action: np.ndarray, room: int) -> np.ndarray:
    """(n, k) with every repeated number replaced by the next free one, counting on from 0 after the last."""
    out = np.array(action, np.int64)
    for position in range(1, out.shape[1]):
        while (again := (out[:, :position] == out[:, position : position + 1]).any(axis=1)).any():
            out[again, position] = (out[again, position] + 1) % room
    return out


_LARGEST = 1e6
"""Queries and weights beyond this are refused: their products would leave the range of float32."""

_ACTIONS: Final[dict[str, Callable[[Simulator], Action]]] = {
    "item": ItemAction,
    "query": QueryAction,
    "weights": WeightsAction,
}


def action_named(name: str, simulator: Simulator) -> Action:
    """The action "item", "query" or "weights" for a world; `UnknownName` suggests the nearest."""
    if name not in _ACTIONS:
        raise unknown_name("action", name, _ACTIONS)
    return _ACTIONS[name](simulator)
