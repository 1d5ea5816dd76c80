"""Parts that Stable-Baselines3's networks lack: standardised observations, items already seen, values of similar items.

Where actions are items, the last 20 columns of what these networks see say where the user's visible history stands
among the actions (-1 = nowhere); see `SimulatorVecEnv`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import nn
from torch.nn import functional

from recgym.observation import HISTORY
from recgym_agents.networks import Standardise
from recgym_agents.vec_env import SimulatorVecEnv

from stable_baselines3.common.distributions import Distribution  # isort: skip (after vec_env, which silences gym)
from stable_baselines3.common.policies import ActorCriticPolicy  # isort: skip
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # isort: skip
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork  # isort: skip

_NEVER = -1e9
"""Logit of an action that is never drawn."""
_USERS, _STEPS = 128, 60


class StandardisedObservation(BaseFeaturesExtractor):
    """Brings each column of flat observations to mean 0 and deviation 1, by constants that are taken once.

    Args:
        observation_space: of (D + s) columns.
        seen_columns: s, how many columns at the end are places and not for the network.
    """

    def __init__(self, observation_space: spaces.Box, seen_columns: int = 0) -> None:
        self.width = int(observation_space.shape[0]) - seen_columns
        super().__init__(observation_space, self.width)
        self.standardise = Standardise(self.width)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        """(n, D + s) -> (n, D)."""
        return torch.as_tensor(self.standardise(flat[:, : self.width]))


def fit_standard(network: nn.Module, world: SimulatorVecEnv) -> None:
    """Take the constants of every `StandardisedObservation` in a network from users who are shown random queries."""
    seed = world.user_seed[:_USERS]
    played = SimulatorVecEnv(world.simulator, "query", seed)
    draw = np.random.default_rng(int(seed[0]))
    rows = [played.reset()]
    for _ in range(_STEPS):
        query = draw.uniform(-1, 1, (len(seed), world.simulator.catalog.vector.shape[1]))
        rows.append(np.asarray(played.step(query)[0]))
    flat = np.concatenate(rows)
    for part in network.modules():
        if isinstance(part, StandardisedObservation):
            part.standardise.fit(flat)


def without_seen(value: torch.Tensor, place: torch.Tensor, instead: Any) -> torch.Tensor:
    """(n, m): `value`, with `instead` at the seen places (n, 20; -1 = nowhere); unchanged where all m are seen."""
    m = value.shape[1]
    place = place.long()
    seen = torch.zeros(len(value), m + 1, dtype=torch.bool)
    seen = seen.scatter(1, torch.where(place < 0, m, place), True)[:, :m]
    seen = seen & ~seen.all(dim=1, keepdim=True)
    return torch.where(seen, instead, value)


class UnseenActorCritic(ActorCriticPolicy):
    """The actor-critic of Stable-Baselines3 over items, which never draws one of the user's visible history."""

    _place: torch.Tensor

    def extract_features(self, obs: Any, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Keep the seen places; whatever follows for this observation leaves them out."""
        self._place = obs[:, -HISTORY:]
        return super().extract_features(obs, features_extractor)

    def get_distribution(self, obs: Any) -> Distribution:
        """See `ActorCriticPolicy.get_distribution`, which does not come by `extract_features`."""
        self._place = obs[:, -HISTORY:]
        return super().get_distribution(obs)

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        logits = without_seen(self.action_net(latent_pi), self._place, _NEVER)
        return self.action_dist.proba_distribution(action_logits=logits)


class UnseenValues(QNetwork):
    """The Q network of Stable-Baselines3, to which a seen item is worth less than any other; in targets, too.

    Args:
        arguments: of `QNetwork`.
        item_vector: (N, d) float32 or None. With it, value = query(observation) . item_vector + level(observation), so
            that items with similar vectors learn together (deep reinforcement relevance network, He et al. 2016,
            arXiv:1511.04636, with given item vectors); without, every action has an output of its own.
        masked: whether the last 20 columns are places.
    """

    def __init__(self, *, item_vector: np.ndarray | None, masked: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.masked = masked
        if item_vector is not None:
            self.q_net[-1] = _ItemValues(self.q_net[-1].in_features, item_vector)  # type: ignore[arg-type]

    def forward(self, obs: Any) -> torch.Tensor:
        """(n, D + s) -> (n, m) values; that of a seen place carries no gradient."""
        value: torch.Tensor = super().forward(obs)
        if not self.masked:
            return value
        return without_seen(value, obs[:, -HISTORY:], value.min(dim=1, keepdim=True).values.detach() - 1)


class UnseenDQNPolicy(DQNPolicy):
    """DQN's pair of networks, both `UnseenValues`."""

    def __init__(self, *args: Any, item_vector: np.ndarray | None, masked: bool, **arguments: Any) -> None:
        self._item_vector, self._masked = item_vector, masked
        super().__init__(*args, **arguments)

    def make_q_net(self) -> QNetwork:
        """See `DQNPolicy.make_q_net`."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return UnseenValues(item_vector=self._item_vector, masked=self._masked, **arguments)


class _ItemValues(nn.Module):
    """(n, h) -> (n, N): a learned query and level of each user against given item vectors of spread 1."""

    def __init__(self, width: int, item_vector: np.ndarray) -> None:
        super().__init__()
        spread = np.maximum(item_vector.std(axis=0), 1e-6)
        known = np.column_stack([item_vector / spread, np.ones(len(item_vector))]).astype(np.float32)
        self.known: torch.Tensor
        self.register_buffer("known", torch.as_tensor(known), persistent=False)
        self.query = nn.Linear(width, known.shape[1])

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.query(latent), self.known)
