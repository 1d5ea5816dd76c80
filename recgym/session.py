"""When a user leaves, and when the user comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from recgym.catalog import Catalog
from recgym.compiled import compiled
from recgym.errors import WrongSetting
from recgym.feedback import LONG_VIEW_S, Response
from recgym.noise import Noise, draw_name, step_key, uniform_at
from recgym.user_model import Habits

_LEAVE, _RETURN = draw_name("leave"), draw_name("return")


def hate_column(feedback: tuple[str, ...]) -> int:
    """The column of "hate" among these feedback names; -1 if there is none."""
    return feedback.index("hate") if "hate" in feedback else -1


class SessionModel(Protocol):
    """How long visits last. Kept apart from the users, so that the same people can live in different worlds.

    Its state is one (n, S) float32 array; column 0 counts the exposures of the present visit.
    """

    def start(self, habits: Habits) -> np.ndarray:
        """(n, S) float32: the state as a visit begins."""
        ...

    def leaves(
        self,
        state: np.ndarray,
        habits: Habits,
        item: np.ndarray,
        response: Response,
        feedback: tuple[str, ...],
        catalog: Catalog,
        noise: Noise,
    ) -> np.ndarray:
        """(n,) bool: who leaves after the slate `item` (n, k). Moves `state` forward in place."""
        ...

    def return_gap_days(self, state: np.ndarray, habits: Habits, noise: Noise) -> np.ndarray:
        """(n,) float32, at least 1: after how many days each user would come back if the user left now."""
        ...


@dataclass(frozen=True)
class Returns:
    """How many days pass until the next active day.

    KuaiRand-Pure's gaps are close to geometric: one day .617, two .165 (datasets note, 2.5). The chance of
    returning on a day is logistic in satisfaction and in the person's own return rate.
    """

    daily_probability: float = 0.6
    """Chance of coming back on any one day, for an average person of average satisfaction."""

    satisfaction: float = 1.0
    """Log-odds gained when satisfaction rises from 0.4 to 1.4; 0 = the way a visit went does not matter."""

    def __post_init__(self) -> None:
        if not 0 < self.daily_probability < 1:
            raise WrongSetting(f"Returns.daily_probability is {self.daily_probability}; it must lie between 0 and 1.")
        if not math.isfinite(self.satisfaction):
            raise WrongSetting(f"Returns.satisfaction is {self.satisfaction}; a finite number is needed.")

    def gap_days(self, satisfaction: np.ndarray, return_rate: np.ndarray, noise: Noise) -> np.ndarray:
        """(n,) float32, whole days from 1 to 365; geometric by the quantile of one uniform draw."""
        return np.asarray(
            _gaps(satisfaction, return_rate, noise.key, noise.step, self.daily_probability, self.satisfaction)
        )


@dataclass(frozen=True)
class FixedLength:
    """Every visit lasts the same number of exposures."""

    exposures: int = 50
    """Exposures per visit."""

    returns: Returns = Returns()
    """When users come back."""

    def __post_init__(self) -> None:
        if self.exposures < 1:
            raise WrongSetting(f"FixedLength.exposures is {self.exposures}; at least 1 is needed.")

    def start(self, habits: Habits) -> np.ndarray:
        """See `SessionModel.start`."""
        return np.zeros((len(habits.patience), 1), np.float32)

    def leaves(
        self,
        state: np.ndarray,
        habits: Habits,
        item: np.ndarray,
        response: Response,
        feedback: tuple[str, ...],
        catalog: Catalog,
        noise: Noise,
    ) -> np.ndarray:
        """See `SessionModel.leaves`."""
        state[:, 0] += item.shape[1]
        return np.asarray(state[:, 0] >= self.exposures)

    def return_gap_days(self, state: np.ndarray, habits: Habits, noise: Noise) -> np.ndarray:
        """See `SessionModel.return_gap_days`."""
        return self.returns.gap_days(np.full(len(state), 0.4, np.float32), habits.return_rate, noise)


@dataclass(frozen=True)
class Patience:
    """Users leave by a hazard that grows with fatigue, boredom and annoyance and falls with satisfaction.

    After each exposure, with t exposures behind the user in this visit,
    hazard = base_hazard / patience * exp(fatigue * t / 50 - satisfaction * (s - 0.4) + boredom * b + annoyance * a),
    where s is a running mean of "watched long" (seconds over 18, or over the duration if that is shorter, at
    most 1), b a running mean of "same main tag as the item before", and a counts recent hates. No log states
    session lengths (datasets note, 2.5); the default gives about 45 exposures per visit at the satisfaction of
    a good feed, six such visits a day making the published 270 exposures.
    """

    base_hazard: float = 0.012
    """Chance of leaving after the first exposure, for an average person."""

    fatigue: float = 0.5
    """Growth of the log hazard over 50 exposures."""

    satisfaction: float = 3.0
    """How strongly watching long keeps a user."""

    boredom: float = 1.2
    """How strongly repeated tags drive a user away."""

    annoyance: float = 1.5
    """How strongly a recent hate drives a user away."""

    memory: float = 0.85
    """Share of the running means that survives an exposure."""

    returns: Returns = Returns()
    """When users come back."""

    def __post_init__(self) -> None:
        if not 0 < self.base_hazard <= 1:
            raise WrongSetting(f"Patience.base_hazard is {self.base_hazard}; it must lie in (0, 1].")
        if not 0 <= self.memory < 1:
            raise WrongSetting(f"Patience.memory is {self.memory}; it must lie in [0, 1).")
        for f in fields(self)[1:5]:
            if not np.isfinite(getattr(self, f.name)):
                raise WrongSetting(f"Patience.{f.name} is {getattr(self, f.name)}; a finite number is needed.")

    def start(self, habits: Habits) -> np.ndarray:
        """(n, 5) float32: exposures, satisfaction, boredom, annoyance, last tag."""
        state = np.zeros((len(habits.patience), 5), np.float32)
        state[:, 1] = 0.4
        state[:, 4] = -1
        return state

    def leaves(
        self,
        state: np.ndarray,
        habits: Habits,
        item: np.ndarray,
        response: Response,
        feedback: tuple[str, ...],
        catalog: Catalog,
        noise: Noise,
    ) -> np.ndarray:
        """See `SessionModel.leaves`."""
        end = np.empty((len(state), 1), np.bool_)
        leaves_rows(0, len(end), end, state, habits.patience, item, response.watch_time_s, response.feedback,
                    hate_column(feedback), catalog.tag, catalog.duration_s, noise.key, noise.step,
                    self.numbers)  # fmt: skip
        return end[:, 0]

    @cached_property
    def numbers(self) -> np.ndarray:
        """(6,) float64: base hazard, fatigue per exposure, satisfaction, boredom, annoyance, memory."""
        return np.array(
            [self.base_hazard, self.fatigue / 50, self.satisfaction, self.boredom, self.annoyance, self.memory]
        )

    def return_gap_days(self, state: np.ndarray, habits: Habits, noise: Noise) -> np.ndarray:
        """See `SessionModel.return_gap_days`."""
        return self.returns.gap_days(state[:, 1], habits.return_rate, noise)


@compiled
def _gaps(
    satisfaction: np.ndarray,
    return_rate: np.ndarray,
    key: np.ndarray,
    step: np.ndarray,
    daily_probability: float,
    slope: float,
) -> np.ndarray:
    out = np.empty(len(key), np.float32)
    for i in range(len(key)):
        exponent = min(max(slope * (satisfaction[i] - 0.4), -30.0), 30.0)
        odds = daily_probability / (1 - daily_probability) * return_rate[i] * math.exp(exponent)
        u = uniform_at(step_key(key[i], step[i]), _RETURN, 0)
        out[i] = min(max(1.0 + math.floor(math.log(u) / -math.log1p(odds)), 1.0), 365.0)
    return out


@compiled
def leaves_rows(
    start: int,
    stop: int,
    end: np.ndarray,
    state: np.ndarray,
    patience: np.ndarray,
    item: np.ndarray,
    watch: np.ndarray,
    feedback: np.ndarray,
    hate: int,
    tag: np.ndarray,
    duration: np.ndarray,
    key: np.ndarray,
    step: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """Fill rows of end[:, 0] (bool: who leaves), move these rows of `state` forward; see `Patience.numbers`."""
    memory = numbers[5]
    for i in range(start, stop):
        staying = 1.0
        for j in range(item.shape[1]):
            x = item[i, j]
            exponent = (numbers[1] * state[i, 0] - numbers[2] * (state[i, 1] - 0.4) + numbers[3] * state[i, 2]
                        + numbers[4] * state[i, 3])  # fmt: skip
            state[i, 0] += np.float32(1.0)
            liked = min(watch[i, j] / min(duration[x], LONG_VIEW_S), 1.0)
            same = 1.0 if (tag[x] >= 0 and tag[x] == state[i, 4]) else 0.0
            hated = 1.0 if (hate >= 0 and feedback[i, j, hate]) else 0.0
            state[i, 1] = memory * state[i, 1] + (1.0 - memory) * liked
            state[i, 2] = memory * state[i, 2] + (1.0 - memory) * same
            state[i, 3] = memory * state[i, 3] + hated
            state[i, 4] = tag[x]
            staying *= 1.0 - min(numbers[0] / patience[i] * math.exp(min(exponent, 20.0)), 1.0)
        end[i, 0] = uniform_at(step_key(key[i], step[i]), _LEAVE, 0) >= staying
