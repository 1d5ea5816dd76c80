"""Behaviour cloning: show what the log's policy showed to users like these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch.nn import functional

from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Memory, Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import check_arrays, load_checkpoint, save_checkpoint, user_width
from recgym_agents.fitting import Fit, held_out
from recgym_agents.log_rows import checked_log, user_columns
from recgym_agents.networks import ItemScorer, in_blocks, set_weights, shapes_of, torch_chance, weights_of
from recgym_agents.setting_checks import check_not_negative, check_positive, check_share, check_widths
from recgym_agents.slates import softmax_slates

NAME = "behaviour_cloning"


@dataclass(frozen=True)
class BehaviourCloningSettings:
    """Network and training of behaviour cloning."""

    hidden: tuple[int, ...] = (128, 64)
    """Widths of the hidden layers of the user tower."""

    dimension: int = 32
    """Length of the user and item vectors whose dot product is an item's score."""

    learning_rate: float = 1e-3
    """Adam's step size."""

    weight_decay: float = 1e-6
    """Adam's weight decay."""

    batch: int = 512
    """Rows of the log per training step."""

    epochs: int = 20
    """Passes over the log at most."""

    valid_share: float = 0.1
    """Share of the sessions held out to judge when to stop; 0 = run all epochs."""

    patience: int = 2
    """Epochs without a better held-out loss after which training stops."""

    full_softmax_up_to: int = 20_000
    """Size of the catalogue up to which the softmax runs over all items; beyond it, over `negatives` sampled ones."""

    negatives: int = 4_096
    """Items sampled uniformly for each training step of the sampled softmax."""

    temperature: float = 1.0
    """Divides the scores when acting: 1 = as cloned, near 0 = greedy."""

    def __post_init__(self) -> None:
        check_widths(NAME, self.hidden)
        check_share(NAME, valid_share=self.valid_share)
        check_not_negative(NAME, weight_decay=self.weight_decay)
        check_positive(NAME, dimension=self.dimension, learning_rate=self.learning_rate, batch=self.batch,
                       epochs=self.epochs, patience=self.patience, negatives=self.negatives,
                       temperature=self.temperature)  # fmt: skip


class BehaviourCloning:
    """Softmax over items of a dot product of user and item towers, fitted by cross-entropy to the items of a log.

    Every row of the log is one example; on slates, each position is. A log does not keep its candidates, so the
    softmax of training runs over the whole catalogue, and acting restricts it to the candidates where there are some.
    On catalogues too large for that, it runs over the shown item and S uniformly sampled others, whose scores gain
    log((N - 1) / S): the logQ correction (Bengio and Senecal 2008; Jean et al. 2015, arXiv:1412.2007), constant here
    because the sampling is uniform. The policy draws slates from the softmax and knows their exact probability.
    """

    Settings: ClassVar[type] = BehaviourCloningSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "log"

    def __init__(self, settings: BehaviourCloningSettings, simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        self.network = self._fresh(0)
        self.policy = self._policy()

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Fit a fresh network; see `Agent.learn`. The log must keep the column `observation`."""
        settings = self.settings
        log = checked_log(log, NAME, self.simulator)
        flat = user_columns(log, NAME, self.simulator)
        held = held_out(log, settings.valid_share, np.random.default_rng([seed, 1]))
        self.network = network = self._fresh(seed)
        network.observed.fit(flat[~held])
        observed, shown = torch.as_tensor(flat), torch.as_tensor(log.array("item").astype(np.int64))

        def loss(rows: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
            if len(self.simulator.catalog) <= settings.full_softmax_up_to:
                return full_softmax_loss(network, observed[rows], shown[rows])
            return sampled_softmax_loss(network, observed[rows], shown[rows], settings.negatives, chance)

        fit = Fit(network, loss, settings.learning_rate, settings.weight_decay, settings.batch)
        chance = torch.Generator().manual_seed(seed)
        losses = fit.run(held, settings.epochs, settings.patience, chance, report)
        self.policy = self._policy()
        return losses

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        save_checkpoint(folder, NAME, self.settings, weights_of(self.network), self._needs(self.simulator))

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> BehaviourCloning:
        """See `Agent.load`."""
        settings, weights = load_checkpoint(folder, NAME, BehaviourCloningSettings, cls._needs(simulator))
        agent = cls(settings, simulator)
        check_arrays(folder, weights, shapes_of(agent.network))
        set_weights(agent.network, weights)
        agent.policy = agent._policy()
        return agent

    def _fresh(self, seed: int) -> ItemScorer:
        with torch_chance(seed):
            width = user_width(self.simulator)
            return ItemScorer(width, self.simulator.catalog, self.settings.hidden, self.settings.dimension)

    def _policy(self) -> CloningPolicy:
        return CloningPolicy(self.network, self.simulator.slate_size, self.settings.temperature)

    @staticmethod
    def _needs(simulator: Simulator) -> Mapping[str, int]:
        return {"catalogue size": len(simulator.catalog), "observation width": user_width(simulator),
                "item dimension": simulator.catalog.vector.shape[1]}  # fmt: skip


class CloningPolicy:
    """Draws slates in proportion to exp(score / temperature); `log_prob` is exact."""

    def __init__(self, network: ItemScorer, slate_size: int, temperature: float) -> None:
        self.network = network.eval()
        self.user_width = network.observed.mean.shape[0]
        self.columns = network.item_columns()
        self.slate_size = slate_size
        self.temperature = temperature

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draw is called "policy item"."""
        query = in_blocks(self.network.user, observation.flat[:, : self.user_width]) / np.float32(self.temperature)
        uniform = noise.uniform("policy item", self.slate_size)
        item, log_prob = softmax_slates(query, self.columns, observation.candidate, uniform)
        return Choice(item, log_prob, memory)


def full_softmax_loss(network: ItemScorer, flat: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Mean of -log softmax(scores)[shown] over the whole catalogue; flat (b, D), shown (b,) int64."""
    everything = network.item(torch.arange(network.item_id.num_embeddings))
    return functional.cross_entropy(network.user(flat) @ everything.T, shown)


def sampled_softmax_loss(
    network: ItemScorer, flat: torch.Tensor, shown: torch.Tensor, negatives: int, chance: torch.Generator
) -> torch.Tensor:
    """As `full_softmax_loss`, the partition function estimated from uniformly sampled items other than the shown one.

    With S samples from the N - 1 other items, exp(shown) + (N - 1) / S * sum of exp(sample) has the full sum as its
    expectation. One set of samples serves the batch; where it holds a row's own item, that one is left out.
    """
    n_items = network.item_id.num_embeddings
    sample = torch.randint(n_items, (negatives,), generator=chance)
    user = network.user(flat)
    positive = (user * network.item(shown)).sum(dim=1, keepdim=True)
    own = sample[None, :] == shown[:, None]
    kept = (negatives - own.sum(dim=1, keepdim=True)).clamp(min=1)
    log_weight = torch.log((n_items - 1) / kept)
    other = (user @ network.item(sample).T + log_weight).masked_fill(own, -torch.inf)
    scores = torch.cat([positive, other], dim=1)
    return (torch.logsumexp(scores, dim=1) - positive[:, 0]).mean()
