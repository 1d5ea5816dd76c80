"""The floor that counts: everybody is shown what did best in the log, whoever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Memory, Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import check_arrays, load_checkpoint, save_checkpoint
from recgym_agents.log_rows import checked_log, signal
from recgym_agents.setting_checks import check_not_negative
from recgym_agents.slates import best_slates

NAME = "popularity"


@dataclass(frozen=True)
class PopularitySettings:
    """How items are counted."""

    signal: str = "watch_time_s"
    """What is averaged per exposure: watch_time_s, reward or a feedback; or "exposures", how often it was shown."""

    smoothing: float = 50.0
    """Exposures of the overall mean that are mixed into each item's own mean; items shown rarely stay near the mean."""

    repeats: bool = False
    """Whether an item among the user's last 20 may be shown again."""

    def __post_init__(self) -> None:
        check_not_negative(NAME, smoothing=self.smoothing)


class Popularity:
    """Ranks items by their smoothed mean signal per exposure in the log: (sum + s * mean) / (exposures + s)."""

    Settings: ClassVar[type] = PopularitySettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "log"

    def __init__(self, settings: PopularitySettings, simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        self.policy = self._policy(np.zeros(len(simulator.catalog), np.float32))

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Count; `seed` is not used. Returns the share of the catalogue that the log shows."""
        log = checked_log(log, NAME, self.simulator)
        n = len(self.simulator.catalog)
        exposures = np.bincount(log.array("item"), minlength=n).astype(np.float64)
        score = exposures
        if self.settings.signal != "exposures":
            value = signal(log, self.settings.signal)
            total = np.bincount(log.array("item"), value, minlength=n)
            weight = exposures + self.settings.smoothing
            prior = self.settings.smoothing * value.mean()
            score = np.where(weight > 0, (total + prior) / np.maximum(weight, 1e-12), value.mean())
        self.policy = self._policy(score.astype(np.float32))
        return {"train/shown_share": float((exposures > 0).mean())}

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, {"score": self.policy.columns[0]}, self._needs(self.simulator))

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> Popularity:
        """See `Agent.load`."""
        settings, weights = load_checkpoint(folder, NAME, PopularitySettings, cls._needs(simulator))
        check_arrays(folder, weights, {"score": (len(simulator.catalog),)})
        agent = cls(settings, simulator)
        agent.policy = agent._policy(weights["score"])
        return agent

    def _policy(self, score: np.ndarray) -> PopularityPolicy:
        return PopularityPolicy(score, self.simulator.slate_size, self.settings.repeats)

    @staticmethod
    def _needs(simulator: Simulator) -> Mapping[str, int]:
        return {"catalogue size": len(simulator.catalog)}


class PopularityPolicy:
    """Shows the items of the largest score (N,) float32; deterministic."""

    def __init__(self, score: np.ndarray, slate_size: int, repeats: bool) -> None:
        self.columns = np.ascontiguousarray(score[None, :], np.float32)
        self.slate_size = slate_size
        self.repeats = repeats

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`."""
        n = len(observation.profile)
        seen = None if self.repeats else observation.history_item
        item = best_slates(np.ones((n, 1), np.float32), self.columns, observation.candidate, self.slate_size, seen)
        return Choice(item, np.zeros(n), memory)
