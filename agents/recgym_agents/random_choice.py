"""The floor: every slate of distinct items is equally likely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Memory, Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import load_checkpoint, save_checkpoint
from recgym_agents.slates import uniform_slates

NAME = "random"


@dataclass(frozen=True)
class RandomSettings:
    """Nothing can be set."""


class RandomChoice:
    """Shows each user k items drawn uniformly, without repetition, from the candidates or the whole catalogue."""

    Settings: ClassVar[type] = RandomSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "nothing"

    def __init__(self, settings: RandomSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.policy = RandomPolicy(len(simulator.catalog), simulator.slate_size)

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Nothing is learned."""
        return {}

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, {}, {})

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> RandomChoice:
        """See `Agent.load`."""
        settings, _ = load_checkpoint(folder, NAME, RandomSettings, {})
        return cls(settings, simulator)


class RandomPolicy:
    """See `RandomChoice`; `log_prob` is exact."""

    def __init__(self, n_items: int, slate_size: int) -> None:
        self.n_items = n_items
        self.slate_size = slate_size

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`."""
        item, log_prob = uniform_slates(observation.candidate, self.n_items, self.slate_size, noise)
        return Choice(item, log_prob, memory)
