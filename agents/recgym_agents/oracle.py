"""The privileged row of every table: it knows what each user feels and shows what pays most in the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from recgym.catalog import Catalog
from recgym.errors import WrongSetting, WrongShape
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import HISTORY, Observation
from recgym.policy import Choice, Memory, Report
from recgym.ranking import top_k_of_scores
from recgym.simulator import Crowd, Simulator, take
from recgym.user_model import ExpectingUserModel
from recgym_agents.checkpoint import load_checkpoint, save_checkpoint
from recgym_agents.slates import unseen_first

NAME = "oracle"


@dataclass(frozen=True)
class OracleSettings:
    """What the oracle may show, and how much memory it takes."""

    repeats: bool = True
    """Whether an item among the user's last 20 may be shown again, as the world's own rules allow."""

    pairs_at_once: int = 4_000_000
    """Pairs of user and item whose expectations are computed at once; bounds the memory."""

    def __post_init__(self) -> None:
        if self.pairs_at_once < 1:
            raise WrongSetting(f"oracle: pairs_at_once is {self.pairs_at_once}; at least 1 is needed.")


@runtime_checkable
class FastWatchTime(Protocol):
    """Users who can say the expected watch time of the whole catalogue in one call."""

    def expect_watch_time_s(self, state: Any, catalog: Catalog) -> np.ndarray:
        """(n, N) float32, seconds."""
        ...


class Oracle:
    """Shows the items with the largest expected reward of the next step, given the true state of every user.

    Greedy over one step: it does not plan. A policy that keeps users longer, by varying tags for instance, can earn
    more over a whole session, so its row is a strong reference and not an upper bound. On slates it takes each item as
    if it were shown alone.

    Raises:
        WrongSetting: the users have no `expect`, or the reward uses a signal that no expectation covers
            (`skip`, `early_exit`).
    """

    Settings: ClassVar[type] = OracleSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "nothing"
    label: ClassVar[str] = "oracle (greedy one step)"
    """How tables and figures call this row."""

    def __init__(self, settings: OracleSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.policy = OraclePolicy(simulator, settings)

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Nothing is learned."""
        return {}

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, {}, {})

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> Oracle:
        """See `Agent.load`."""
        settings, _ = load_checkpoint(folder, NAME, OracleSettings, {})
        return cls(settings, simulator)


class OraclePolicy:
    """See `Oracle`; `look` must be called before each `act`, with the users as they stand then."""

    def __init__(self, simulator: Simulator, settings: OracleSettings) -> None:
        _check_expectations(simulator)
        self.slate_size = simulator.slate_size
        self.settings = settings
        self._ranked = np.empty((0, simulator.slate_size), np.int32)

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def look(self, simulator: Simulator, crowd: Crowd) -> None:
        """Rank the items of every user by expected reward."""
        room = simulator.n_actions
        length = min(room, self.slate_size + (0 if self.settings.repeats else HISTORY))
        self._ranked = np.empty((len(crowd), length), np.int32)
        chunk = max(1, self.settings.pairs_at_once // room)
        for start in range(0, len(crowd), chunk):
            rows = np.arange(start, min(start + chunk, len(crowd)))
            score = expected_reward(simulator, take(crowd.state, rows), crowd.candidate[rows])
            best = top_k_of_scores(score, length)
            if simulator.candidates.size:
                best = np.take_along_axis(crowd.candidate[rows], best.astype(np.int64), axis=1)
            self._ranked[rows] = best

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; raises `WrongShape` where `look` saw other users."""
        n = len(observation.profile)
        if len(self._ranked) != n:
            raise WrongShape(f"the oracle looked at {len(self._ranked)} users, but is to act for {n}; call look first.")
        item = self._ranked
        if not self.settings.repeats:
            item = unseen_first(item, observation.history_item, self.slate_size)
        return Choice(item.copy(), np.zeros(n), memory)


def expected_reward(simulator: Simulator, state: Any, candidate: np.ndarray) -> np.ndarray:
    """(n, m) float64 or float32: expected reward of each candidate (n, m) int32, shown alone; m = 0: of all N items."""
    users: Any = simulator.users
    weights = {name: weight for name, weight in simulator.objective.reward.items() if weight}
    whole = not simulator.candidates.size
    if whole and set(weights) <= {"watch_time_s"} and isinstance(users, FastWatchTime):
        seconds = np.asarray(users.expect_watch_time_s(state, simulator.catalog))
        return seconds * np.float32(weights.get("watch_time_s", 0.0))
    if whole:
        everything = np.arange(len(simulator.catalog), dtype=np.int32)
        candidate = np.ascontiguousarray(np.broadcast_to(everything, (len(candidate), len(everything))))
    expected = users.expect(state, candidate, simulator.catalog)
    total = np.zeros(candidate.shape)
    for name, weight in weights.items():
        probability = expected.probability
        value = expected.watch_time_s if name == "watch_time_s" else probability[..., users.feedback.index(name)]
        total += weight * value
    return total


def _check_expectations(simulator: Simulator) -> None:
    users = simulator.users
    if not isinstance(users, ExpectingUserModel):
        raise WrongSetting(
            f"the oracle needs users whose answers can be expected; {type(users).__name__} has no `expect`. "
            "Leave the oracle out, or add `expect` to the user model."
        )
    unexpected = [name for name in simulator.objective.reward if name not in ("watch_time_s", *users.feedback)]
    if unexpected:
        raise WrongSetting(
            f"the oracle cannot expect {', '.join(unexpected)} of this world's reward; it knows watch_time_s, "
            f"{', '.join(users.feedback)}. Leave the oracle out, or reward these."
        )
