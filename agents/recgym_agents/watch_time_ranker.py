"""Supervised watch-time regression, shown greedily: the baseline every recommender team has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import nn

from recgym.errors import unknown_name
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Memory, Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import check_arrays, load_checkpoint, save_checkpoint, user_width
from recgym_agents.fitting import Fit, held_out
from recgym_agents.log_rows import checked_log, signal, user_columns
from recgym_agents.networks import ItemScorer, in_blocks, set_weights, shapes_of, torch_chance, weights_of
from recgym_agents.setting_checks import check_not_negative, check_positive, check_share, check_widths
from recgym_agents.slates import best_slates, with_exploration

NAME = "watch_time_ranker"


@dataclass(frozen=True)
class WatchTimeRankerSettings:
    """Target, network and training of the ranker."""

    signal: str = "watch_time_s"
    """What is predicted and ranked by: watch_time_s, reward, a feedback or a cost of the log."""

    transform: Literal["log1p", "none"] = "log1p"
    """Whether log(1 + signal) is predicted, which tames the long tail of watch times, or the signal itself."""

    hidden: tuple[int, ...] = (128, 64)
    """Widths of the hidden layers of the user tower."""

    dimension: int = 32
    """Length of the user and item vectors that are multiplied."""

    learning_rate: float = 1e-3
    """Adam's step size."""

    weight_decay: float = 1e-3
    """Adam's weight decay; it also holds the embeddings of rarely shown items near 0."""

    batch: int = 256
    """Rows of the log per training step."""

    epochs: int = 20
    """Passes over the log at most."""

    valid_share: float = 0.1
    """Share of the sessions held out to judge when to stop; 0 = run all epochs."""

    patience: int = 2
    """Epochs without a better held-out loss after which training stops."""

    epsilon: float = 0.0
    """Probability of showing a uniform slate instead of the best one."""

    repeats: bool = False
    """Whether an item among the user's last 20 may be shown again."""

    def __post_init__(self) -> None:
        if self.transform not in ("log1p", "none"):
            raise unknown_name("transform of watch_time_ranker", self.transform, ("log1p", "none"))
        check_widths(NAME, self.hidden)
        check_share(NAME, valid_share=self.valid_share, epsilon=self.epsilon)
        check_not_negative(NAME, weight_decay=self.weight_decay)
        check_positive(NAME, dimension=self.dimension, learning_rate=self.learning_rate, batch=self.batch,
                       epochs=self.epochs, patience=self.patience)  # fmt: skip


class WatchTimeRegression(nn.Module):
    """Predicts a standardised target from two towers: user . item + bias of the item + bias of the user.

    The user's own bias improves the fit and does not move the ranking, so ranking the whole catalogue exactly is one
    dot product per item.
    """

    def __init__(self, user_width: int, simulator: Simulator, settings: WatchTimeRankerSettings) -> None:
        super().__init__()
        self.scorer = ItemScorer(user_width, simulator.catalog, settings.hidden, settings.dimension)
        self.user_bias = nn.Linear(user_width, 1)

    def forward(self, flat: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """(b, D) and (b,) int64 -> (b,) predictions."""
        bias = self.user_bias(self.scorer.observed(flat))[:, 0]
        return torch.as_tensor((self.scorer.user(flat) * self.scorer.item(item)).sum(dim=1) + bias)


class WatchTimeRanker:
    """Fits log(1 + watch time) by squared error and shows each user the items of the largest prediction.

    Ranks the whole catalogue (or all candidates) exactly; no retrieval stage. Items in the user's visible history are
    left out unless `repeats` is set.
    """

    Settings: ClassVar[type] = WatchTimeRankerSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "log"

    def __init__(self, settings: WatchTimeRankerSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        self.network = self._fresh(0)
        self.policy = self._policy()

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Fit a fresh network; see `Agent.learn`. The log must keep the column `observation`.

        Losses are in units of the target's variance: 1 = no better than the mean.
        """
        settings = self.settings
        log = checked_log(log, NAME, self.simulator)
        flat = user_columns(log, NAME, self.simulator)
        value = signal(log, settings.signal)
        value = np.log1p(value) if settings.transform == "log1p" else value
        held = held_out(log, settings.valid_share, np.random.default_rng([seed, 1]))
        self.network = network = self._fresh(seed)
        network.scorer.observed.fit(flat[~held])
        target = torch.as_tensor(_standard(value, value[~held]), dtype=torch.float32)
        observed, item = torch.as_tensor(flat), torch.as_tensor(log.array("item").astype(np.int64))

        def loss(rows: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
            predicted: torch.Tensor = network(observed[rows], item[rows])
            return ((predicted - target[rows]) ** 2).mean()

        fit = Fit(network, loss, settings.learning_rate, settings.weight_decay, settings.batch)
        chance = torch.Generator().manual_seed(seed)
        losses = fit.run(held, settings.epochs, settings.patience, chance, report)
        self.policy = self._policy()
        return losses

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, weights_of(self.network), self._needs(self.simulator))

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> WatchTimeRanker:
        """See `Agent.load`."""
        settings, weights = load_checkpoint(folder, NAME, WatchTimeRankerSettings, cls._needs(simulator))
        agent = cls(settings, simulator)
        check_arrays(folder, weights, shapes_of(agent.network))
        set_weights(agent.network, weights)
        agent.policy = agent._policy()
        return agent

    def _fresh(self, seed: int) -> WatchTimeRegression:
        with torch_chance(seed):
            return WatchTimeRegression(user_width(self.simulator), self.simulator, self.settings)

    def _policy(self) -> RankingPolicy:
        return RankingPolicy(self.network.scorer, self.simulator.slate_size, self.settings)

    @staticmethod
    def _needs(simulator: Simulator) -> Mapping[str, int]:
        return {"catalogue size": len(simulator.catalog), "observation width": user_width(simulator),
                "item dimension": simulator.catalog.vector.shape[1]}  # fmt: skip


class RankingPolicy:
    """Shows the items of the largest score; with probability epsilon a uniform slate. `log_prob` is exact."""

    def __init__(self, scorer: ItemScorer, slate_size: int, settings: WatchTimeRankerSettings) -> None:
        self.scorer = scorer.eval()
        self.user_width = scorer.observed.mean.shape[0]
        self.columns = scorer.item_columns()
        self.slate_size = slate_size
        self.settings = settings

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draws are "policy explore" and "policy uniform"."""
        query = in_blocks(self.scorer.user, observation.flat[:, : self.user_width])
        seen = None if self.settings.repeats else observation.history_item
        best = best_slates(query, self.columns, observation.candidate, self.slate_size, seen)
        n_items = self.columns.shape[1]
        item, log_prob = with_exploration(best, self.settings.epsilon, observation.candidate, n_items, noise)
        return Choice(item, log_prob, memory)


def _standard(value: np.ndarray, learning: np.ndarray) -> np.ndarray:
    """The value with mean and deviation of the learning rows removed; a constant one becomes 0."""
    spread = learning.std()
    return np.asarray((value - learning.mean()) / (spread if spread > 1e-9 else 1.0))
