"""What both views share: spaces, observations and the named signals of `info`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from recgym.errors import WrongSetting, unknown_name
from recgym.observation import CONTEXT, HISTORY
from recgym.simulator import PROFILE_BOUND, Crowd, Simulator, Turn

OBSERVATIONS = ("flat", "history")
"""Encodings of the observation: one Box, or a Dict with item ids for sequence models."""

BOUND = PROFILE_BOUND
"""Bound of every real number in an observation space; the simulator refuses profiles beyond it."""


def checked_options(options: dict[str, Any] | None, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The reset options; unknown ones are refused with a suggestion, since ignoring them would hide a mistake."""
    for name in options or {}:
        if name not in allowed:
            raise unknown_name("reset option", name, allowed)
    return options or {}


def checked_seed(seed: int) -> int:
    """A seed as 63 bits; Gymnasium allows any whole number that is not negative."""
    if seed < 0:
        raise WrongSetting(f"seed is {seed}; whole numbers from 0 are needed.")
    return int(seed) % 2**63


def _real(*shape: int) -> spaces.Box:
    return spaces.Box(-BOUND, BOUND, shape, np.float32)


def observation_space(kind: str, simulator: Simulator, crowd: Crowd) -> spaces.Space[Any]:
    """The space of one user's observation of this kind; `crowd` is any started crowd of the world."""
    if kind == "flat":
        return _real(simulator.flat(crowd).shape[1])
    if kind != "history":
        raise unknown_name("observation", kind, OBSERVATIONS)
    n_items, n_feedback = len(simulator.catalog), len(simulator.users.feedback)
    parts: dict[str, spaces.Space[Any]] = {
        "profile": _real(crowd.profile.shape[1]),
        "context": _real(len(CONTEXT)),
        "history_item": spaces.Box(-1, n_items - 1, (HISTORY,), np.int32),
        "history_watch_time_s": spaces.Box(0, BOUND, (HISTORY,), np.float32),
        "history_feedback": spaces.MultiBinary((HISTORY, n_feedback)),
    }
    if simulator.candidates.size:
        parts["candidate"] = spaces.Box(0, n_items - 1, (simulator.candidates.size,), np.int32)
    return spaces.Dict(parts)


def observed(kind: str, simulator: Simulator, crowd: Crowd) -> Any:
    """The observation of all users: (n, D) float32, or a dict of arrays with the user as axis 0."""
    if kind == "flat":
        return simulator.flat(crowd)
    item, watch, feedback = crowd.recorder.ordered()
    out = {
        "profile": crowd.profile.copy(), "context": simulator.context(crowd), "history_item": item,
        "history_watch_time_s": watch, "history_feedback": feedback.astype(np.int8),
    }  # fmt: skip
    if simulator.candidates.size:
        out["candidate"] = crowd.candidate.copy()
    return out


def info_columns(simulator: Simulator) -> list[tuple[str, int]]:
    """Names of the summed signals in `info` after a step, with their columns in `Turn.total`."""
    feedback = simulator.users.feedback
    costs = simulator.objective.cost_columns(feedback)
    answers = [(name, column) for column, name in enumerate(("watch_time_s", *feedback))]
    return [*answers, *((f"cost_{name}", column) for name, column in costs.items())]


def signals(simulator: Simulator, turn: Turn) -> dict[str, np.ndarray]:
    """What `info` names after a step, user as axis 0.

    watch_time_s (seconds), each feedback and cost_<name>: float64, summed over the slate. left: bool, the visit
    ended. return_gap_days: float64, 0 unless the user left. item: int64 (n,) for one item a step, else (n, k), with
    slate_watch_time_s (n, k) float32 and slate_feedback (n, k, F) bool beside it.
    """
    out = {name: turn.total[:, column] for name, column in info_columns(simulator)}
    out["left"] = turn.left
    out["return_gap_days"] = turn.return_gap_days.astype(np.float64)
    out["item"] = turn.item[:, 0].astype(np.int64) if turn.item.shape[1] == 1 else turn.item
    if turn.item.shape[1] > 1:
        out["slate_watch_time_s"], out["slate_feedback"] = turn.response
    return out
