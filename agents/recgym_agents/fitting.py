"""Mini-batch training on the rows of a log, stopped where held-out sessions say so; knows no algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import nn

from recgym.interaction_log import InteractionLog
from recgym.policy import Report

BatchLoss = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""From row numbers (b,) int64 of the log, and chance, to the mean loss of these rows."""


def held_out(log: InteractionLog, share: float, rng: np.random.Generator) -> np.ndarray:
    """(rows,) bool: the rows of a random `share` of the sessions (of the users, where sessions are unknown).

    At least one session is kept for learning; none is held out if share is 0.
    """
    session, user = log.array("session"), log.array("user")
    group = np.where(session >= 0, session, -1 - user)
    groups = np.unique(group)
    count = min(math.ceil(share * len(groups)), len(groups) - 1)
    return np.asarray(np.isin(group, rng.permutation(groups)[:count]))


class Fit:
    """Adam over shuffled mini-batches; keeps the weights of the epoch with the smallest held-out loss.

    Args:
        network: what is trained, in place.
        loss: mean loss of some rows.
        learning_rate: Adam's step size.
        weight_decay: Adam's weight decay.
        batch: rows per step.
    """

    def __init__(
        self, network: nn.Module, loss: BatchLoss, learning_rate: float, weight_decay: float, batch: int
    ) -> None:
        self.network = network
        self.loss = loss
        self.batch = batch
        self.optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=weight_decay)

    def run(
        self, held: np.ndarray, epochs: int, patience: int, chance: torch.Generator, report: Report | None
    ) -> Mapping[str, float]:
        """Train for at most `epochs`, or until the held-out loss has not fallen for `patience` epochs.

        Args:
            held: (rows,) bool, held-out rows; where there are none, all epochs are run and the last weights kept.
            epochs: passes over the other rows.
            patience: epochs without a better held-out loss after which training ends.
            chance: shuffling, and whatever the loss draws.
            report: told the losses after each epoch, at the number of steps done.

        Returns:
            The losses of the epoch whose weights were kept, and the number of steps done.
        """
        learning, judging = (torch.as_tensor(np.flatnonzero(rows)) for rows in (~held, held))
        best: dict[str, float] = {}
        weights: dict[str, torch.Tensor] = {}
        steps, waited = 0, 0
        for _ in range(epochs):
            losses = {"train/loss": self._epoch(learning, chance)}
            steps += math.ceil(len(learning) / self.batch)
            if len(judging):
                losses["valid/loss"] = self._mean_loss(judging)
            if report is not None:
                report(steps, losses)
            waited += 1
            if not len(judging) or losses["valid/loss"] < best.get("valid/loss", math.inf):
                best, waited = losses, 0
                weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            if waited >= patience:
                break
        if weights:
            self.network.load_state_dict(weights)
        return {**best, "train/steps": float(steps)}

    def _epoch(self, rows: torch.Tensor, chance: torch.Generator) -> float:
        total = 0.0
        self.network.train()
        for part in self._parts(rows[torch.randperm(len(rows), generator=chance)]):
            loss = self.loss(part, chance)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += float(loss.detach()) * len(part)
        self.network.eval()
        return total / len(rows)

    def _mean_loss(self, rows: torch.Tensor) -> float:
        """Mean loss of rows, with chance of its own, so that every epoch is judged alike."""
        chance = torch.Generator().manual_seed(0)
        with torch.no_grad():
            total = sum(float(self.loss(part, chance)) * len(part) for part in self._parts(rows))
        return total / len(rows)

    def _parts(self, rows: torch.Tensor) -> Iterable[torch.Tensor]:
        return torch.split(rows, self.batch)
