"""From named signals to one reward, several named costs, and their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from recgym.compiled import compiled
from recgym.errors import WrongSetting, unknown_name

QUICK_SKIP_S = 3.0
"""A play shorter than this is a quick skip (the statistics table's "short time play")."""

EARLY_EXIT_STEPS = 10
"""Leaving before this many exposures of a visit is an early exit."""


@dataclass(frozen=True)
class Objective:
    """What counts as good, what counts as a cost, and how much of a cost is allowed.

    Costs are sums over the slate. Besides every feedback name, two derived signals can be used in `reward` and
    `costs`: `skip` (played under 3 s) and `early_exit` (the user left before the 10th
    exposure of a visit).
    """

    reward: Mapping[str, float] = field(default_factory=lambda: {"watch_time_s": 1.0})
    """Weight of each signal in the reward; `watch_time_s` or any feedback or derived signal."""

    costs: tuple[str, ...] = ("hate", "skip", "early_exit")
    """Signals reported as `cost_<name>` in `info`."""

    limits: Mapping[str, float] = field(default_factory=dict)
    """Upper limit of a cost, its mean per exposure (early_exit: per visit). Costs without a limit are only reported."""

    def __post_init__(self) -> None:
        for name, weight in self.reward.items():
            if not math.isfinite(weight):
                raise WrongSetting(f"Objective.reward[{name!r}] is {weight}; weights are finite numbers.")
        for name, limit in self.limits.items():
            if name not in self.costs:
                raise unknown_name("cost to limit", name, self.costs)
            if not (math.isfinite(limit) and limit >= 0):
                raise WrongSetting(f"Objective.limits[{name!r}] is {limit}; limits are finite and not negative.")

    def check(self, feedback: tuple[str, ...]) -> None:
        """Refuse signals that users with these feedback names do not give."""
        for name in [*self.reward, *self.costs]:
            if name not in signal_names(feedback):
                raise unknown_name("signal", name, signal_names(feedback))

    def weights(self, feedback: tuple[str, ...]) -> np.ndarray:
        """(T,) float64: the reward's weight of each of `signal_names`."""
        return np.array([self.reward.get(name, 0.0) for name in signal_names(feedback)])

    def cost_columns(self, feedback: tuple[str, ...]) -> dict[str, int]:
        """Cost name -> its column among `signal_names`."""
        return {name: signal_names(feedback).index(name) for name in self.costs}


def signal_names(feedback: tuple[str, ...]) -> tuple[str, ...]:
    """The T signals of a step, summed over the slate, in the order of `Turn.total`."""
    return ("watch_time_s", *feedback, "skip", "early_exit")


@compiled
def total_rows(
    start: int,
    stop: int,
    total: np.ndarray,
    reward: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    end: np.ndarray,
    exposures: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Fill rows of total (n, T), see `signal_names`, and reward (n,); sums run from left to right.

    end: (n, 3) bool, column 0 says who left. exposures: (n, S), column 0 counts the exposures of this visit.
    """
    f = feedback.shape[2]
    for i in range(start, stop):
        for c in range(f + 2):
            total[i, c] = 0.0
        for j in range(watch.shape[1]):
            total[i, 0] += watch[i, j]
            for c in range(f):
                total[i, 1 + c] += feedback[i, j, c]
            total[i, f + 1] += watch[i, j] < QUICK_SKIP_S
        total[i, f + 2] = end[i, 0] & (exposures[i, 0] < EARLY_EXIT_STEPS)
        earned = 0.0
        for c in range(f + 3):
            earned += weights[c] * total[i, c]
        reward[i] = earned
