"""Trained networks of Stable-Baselines3 as RecGym policies: chance from `Noise`, rows in fixed blocks, no learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from recgym.actions import Action
from recgym.errors import WrongShape
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Memory
from recgym.simulator import Crowd, Simulator
from recgym_agents.networks import in_blocks
from recgym_agents.slates import best_of_scores, softmax_of_scores, with_exploration
from recgym_agents.unseen import SeenCrowd, with_seen_places

Head = Callable[[torch.Tensor], torch.Tensor]
"""From flat observations (n, D) to what a policy needs of its network, (n, ...)."""


class VectorPolicy:
    """Puts out a vector in [-1, 1]^d (a query, or weights) and shows what the action makes of it.

    `log_prob` is 0 where the best vector is taken and NaN where the policy explores: the probability of a slate, an
    integral over all vectors that lead to it, has no closed form.

    Args:
        network: what `head` evaluates; kept so that it can be saved.
        head: (n, D) -> (n, 2 d): mean and standard deviation of the vector, before `squash`.
        squash: brings vectors into [-1, 1], element by element.
        action: "query" or "weights".
        stochastic: whether to draw the vector or to take its mean.
    """

    def __init__(
        self, network: Any, head: Head, squash: Callable[[np.ndarray], np.ndarray], action: Action, stochastic: bool
    ) -> None:
        network.set_training_mode(False)
        self.network = network
        self.head = head
        self.squash = squash
        self.action = action
        self.stochastic = stochastic

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draw is called "policy action"."""
        vector, spread = np.split(in_blocks(self.head, observation.flat), 2, axis=1)
        if self.stochastic:
            vector = vector + spread * noise.normal("policy action", vector.shape[1]).astype(np.float32)
        item = self.action.items(self._crowd(observation), self.squash(vector))
        return Choice(item, np.full(len(item), np.nan if self.stochastic else 0.0), memory)

    def _crowd(self, observation: Observation) -> Crowd:
        return seen_crowd(observation)


class PredictedSignalsPolicy(VectorPolicy):
    """A `VectorPolicy` for the action "weights", whose predicted signals come from the users: see `WeightsAction`."""

    _looked_at: Crowd | None = None

    def look(self, simulator: Simulator, crowd: Crowd) -> None:
        """Keep the users, for whose candidates the action predicts signals."""
        self._looked_at = crowd

    def _crowd(self, observation: Observation) -> Crowd:
        if self._looked_at is None or len(self._looked_at) != len(observation.profile):
            came = "nobody" if self._looked_at is None else f"{len(self._looked_at)} users"
            raise WrongShape(f"the policy looked at {came}, but is to act for {len(observation.profile)}; look first.")
        return self._looked_at


class ItemDrawPolicy:
    """Draws one item from a softmax over the network's logits, or takes the likeliest; `log_prob` is exact.

    Args:
        network: what `head` evaluates; kept so that it can be saved.
        head: (n, D) -> (n, m) logits, one per item or candidate.
        action: "item".
        stochastic: whether to draw the item or to take the likeliest.
        repeats: if not, the head is given 20 columns more, the places of the items that were seen.
    """

    def __init__(self, network: Any, head: Head, action: Action, stochastic: bool, repeats: bool) -> None:
        self.repeats = repeats
        network.set_training_mode(False)
        self.network = network
        self.head = head
        self.action = action
        self.stochastic = stochastic

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draw is called "policy item"."""
        logits = in_blocks(self.head, _looked_at(observation, self.repeats))
        if self.stochastic:
            place, log_prob = softmax_of_scores(logits, noise.uniform("policy item", 1))
        else:
            place, log_prob = best_of_scores(logits), np.zeros(len(logits))
        return Choice(self.action.items(seen_crowd(observation), place), log_prob, memory)


class ItemValuePolicy:
    """Takes the item of the largest value; with probability epsilon a uniform one. `log_prob` is exact.

    Args:
        network: what `head` evaluates; kept so that it can be saved.
        head: (n, D) -> (n, m) values, one per item or candidate.
        action: "item".
        epsilon: probability of a uniform item, seen or not.
        repeats: if not, the head is given 20 columns more, the places of the items that were seen.
    """

    def __init__(self, network: Any, head: Head, action: Action, epsilon: float, repeats: bool) -> None:
        self.repeats = repeats
        network.set_training_mode(False)
        self.network = network
        self.head = head
        self.action = action
        self.epsilon = epsilon

    def start(self, n: int) -> Memory:
        """Nothing is remembered."""
        return ()

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """See `Policy.act`; the draws are "policy explore" and "policy uniform"."""
        value = in_blocks(self.head, _looked_at(observation, self.repeats))
        item = self.action.items(seen_crowd(observation), best_of_scores(value))
        item, log_prob = with_exploration(item, self.epsilon, observation.candidate, value.shape[1], noise)
        return Choice(item, log_prob, memory)


def _looked_at(observation: Observation, repeats: bool) -> np.ndarray:
    if repeats:
        return observation.flat
    return with_seen_places(observation.flat, observation.history_item, observation.candidate)


def seen_crowd(observation: Observation) -> Crowd:
    """What the actions "item" and "query" need to know of the users, from what the policy sees."""
    return cast(Crowd, SeenCrowd(observation))


def clipped(vector: np.ndarray) -> np.ndarray:
    """Each coordinate cut off at -1 and 1."""
    return np.asarray(np.clip(vector, -1.0, 1.0))
