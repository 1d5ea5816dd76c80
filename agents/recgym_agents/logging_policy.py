"""The behaviour policy that makes logs: half sensible, never quite predictable, every propensity exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from recgym.errors import WrongSetting
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation, flat_names
from recgym.policy import Choice, Memory, Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import load_checkpoint, save_checkpoint
from recgym_agents.setting_checks import check_share
from recgym_agents.slates import room_of, softmax_slates, uniform_log_prob, uniform_slates

NAME = "logging"


@dataclass(frozen=True)
class LoggingSettings:
    """How much the behaviour policy explores, and how strongly it follows taste."""

    epsilon: float = 0.2
    """Probability that a slate is drawn uniformly; no slate is less likely than this share of the uniform law."""

    beta: float = 4.0
    """Weight of the cosine between an item and what the user liked; 0 = none, 4 = near items are favoured."""

    duration: float = 1.0
    """Weight of the log duration, standardised over the catalogue; 0 = none, 1 = long videos are favoured, as by a
    feed that is after watch time."""

    def __post_init__(self) -> None:
        check_share(NAME, epsilon=self.epsilon)
        for name in ("beta", "duration"):
            if not np.isfinite(getattr(self, name)):
                raise WrongSetting(f"logging: {name} is {getattr(self, name)}; a finite number is needed.")


class LoggingAgent:
    """A mixture of a uniform slate and one near what the user has liked, with exact propensities; learns nothing.

    Once per slate a coin decides: with probability epsilon the ordered slate is uniform, else it is drawn item by item
    in proportion to exp(beta * cosine(item, liked) + duration * standardised log duration) among the items not yet
    drawn (Plackett-Luce). The propensity of an ordered slate is thus epsilon / (m (m-1) ... (m-k+1)) + (1 - epsilon) *
    PlackettLuce(slate), exactly, whichever way the coin fell. Popularity plays no part.

    `liked` is what was watched beyond what was shown: the running mean of item vectors weighted by how far they were
    watched, without its part along the running mean of the item vectors shown; the flat observation holds both.
    (Without that subtraction the policy follows what it happened to show, and beta earns nothing.) In the default
    world, 500 users watch 325 s a session with these settings, 241 s with uniform slates.
    """

    Settings: ClassVar[type] = LoggingSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "nothing"

    def __init__(self, settings: LoggingSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.policy = LoggingPolicy(settings, simulator)

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Nothing is learned."""
        return {}

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, {}, {})

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> LoggingAgent:
        """See `Agent.load`."""
        settings, _ = load_checkpoint(folder, NAME, LoggingSettings, {})
        return cls(settings, simulator)


class LoggingPolicy:
    """See `LoggingAgent`."""

    def __init__(self, settings: LoggingSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.slate_size = simulator.slate_size
        self.feedback = simulator.users.feedback
        catalog = simulator.catalog
        length = np.log(catalog.duration_s.astype(np.float64))
        length = (length - length.mean()) / max(float(length.std()), 1e-6)
        self.columns = np.ascontiguousarray(np.column_stack([_unit_rows(catalog.vector), length]).T, np.float32)

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draws are "policy explore", "policy uniform" and "policy item"."""
        k, epsilon = self.slate_size, self.settings.epsilon
        candidate, n_items = observation.candidate, self.columns.shape[1]
        explore = noise.uniform("policy explore")[:, 0] < epsilon
        drawn, _ = uniform_slates(candidate, n_items, k, noise)
        given = np.where(explore[:, None], drawn, -1)
        taste = self.settings.beta * _unit_rows(self.liked(observation))
        query = np.column_stack([taste, np.full(len(taste), self.settings.duration)]).astype(np.float32)
        item, log_softmax = softmax_slates(query, self.columns, candidate, noise.uniform("policy item", k), given)
        uniform = np.exp(uniform_log_prob(room_of(candidate, n_items), k))
        return Choice(item, np.log(epsilon * uniform + (1 - epsilon) * np.exp(log_softmax)), memory)

    def liked(self, observation: Observation) -> np.ndarray:
        """(n, d) float32: what each user watched beyond what was shown (see `LoggingAgent`), or 0."""
        d = len(self.columns) - 1
        names = flat_names(observation.profile.shape[1], d, self.feedback)
        shown, watched = (
            observation.flat[:, start : start + d].astype(np.float64)
            for start in (names.index("mean_vector_0"), names.index("liked_vector_0"))
        )
        square = (shown * shown).sum(axis=1, keepdims=True)
        along = (watched * shown).sum(axis=1, keepdims=True) / np.where(square > 0, square, 1)
        beyond = watched - along * shown
        told = np.abs(beyond) > 1e-4 * np.abs(watched).max(axis=1, keepdims=True)  # less is rounding: one item, say
        return np.asarray(np.where(told.any(axis=1, keepdims=True), beyond, 0), np.float32)


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; zero rows stay zero."""
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(np.where(length > 0, rows / np.where(length > 0, length, 1), 0), np.float32)
