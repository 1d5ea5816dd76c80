"""PPO, A2C, DQN, SAC and TD3 of Stable-Baselines3, trained on the native batch and kept without pickles."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch

from recgym.actions import Action
from recgym.errors import WrongSetting
from recgym.interaction_log import InteractionLog
from recgym.observation import HISTORY
from recgym.policy import Report
from recgym.simulator import Simulator
from recgym_agents.checkpoint import check_arrays, load_checkpoint, save_checkpoint, user_width
from recgym_agents.networks import set_weights, shapes_of, torch_chance, weights_of
from recgym_agents.stable_baselines_networks import (
    StandardisedObservation,
    UnseenActorCritic,
    UnseenDQNPolicy,
    fit_standard,
)
from recgym_agents.stable_baselines_policy import (
    Head,
    ItemDrawPolicy,
    ItemValuePolicy,
    PredictedSignalsPolicy,
    VectorPolicy,
    clipped,
)
from recgym_agents.stable_baselines_settings import (
    A2CSettings,
    DQNSettings,
    LearnerSettings,
    PPOSettings,
    SACSettings,
    TD3Settings,
)
from recgym_agents.unseen import played_action
from recgym_agents.vec_env import SimulatorVecEnv

import stable_baselines3 as sb3  # isort: skip (after vec_env, which silences gym's notice)
from stable_baselines3.common.logger import KVWriter, Logger  # isort: skip
from stable_baselines3.common.noise import NormalActionNoise  # isort: skip

_TRAINING_SEEDS = 1 << 40
"""Users met in training have seeds from here on; evaluations, whose seeds are small, have other luck."""
_USERS_PER_SEED = 1 << 20


class StableBaselinesAgent:
    """A learner of Stable-Baselines3 as a RecGym agent; each algorithm below names its settings and its parts.

    Stable-Baselines3 seeds the global generators of Python, NumPy and torch; they are put back afterwards. Its own
    `save` pickles; here the weights of the policy go to safetensors and the rest is rebuilt from the settings.

    Raises:
        WrongSetting: an action that this algorithm or this world does not allow.
    """

    Settings: ClassVar[type]
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "simulator"
    name: ClassVar[str]
    algorithm: ClassVar[Any]

    def __init__(self, settings: Any, simulator: Simulator) -> None:
        self.settings = settings
        self.simulator = simulator
        if settings.action == "item" and simulator.slate_size > 1:
            raise WrongSetting(
                f"{self.name} with action='item' chooses the positions of a slate independently, so items would "
                f"repeat; this world shows {simulator.slate_size} items a step. Use query (ppo, a2c, sac, td3)."
            )
        self.policy: Any = self._policy(self._untrained())

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Play and learn from scratch; `log` is not used. See `Agent.learn`."""
        world = self._world(seed)
        writer = _Scalars(report, self.simulator.slate_size)
        with _global_chance_kept():
            learner = self.algorithm(
                self._kind(), world, seed=seed % (1 << 32), device="cpu", verbose=0,
                learning_rate=self.settings.learning_rate, gamma=self.settings.gamma,
                policy_kwargs=self._network(), **self._arguments(),
            )  # fmt: skip
            fit_standard(learner.policy, world)
            learner.set_logger(Logger(None, [writer]))
            learner.learn(self.settings.steps, log_interval=self._log_interval())
        self.policy = self._policy(learner.policy)
        return writer.means()

    def save(self, folder: Path) -> None:
        """See `Agent.save`."""
        weights = weights_of(self.policy.network)
        save_checkpoint(folder, self.name, self.settings, weights, self._needs(self.simulator))

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> Any:
        """See `Agent.load`."""
        needs = cls._needs(simulator)
        settings, weights = load_checkpoint(folder, cls.name, cast(type[LearnerSettings], cls.Settings), needs)
        agent = cls(settings, simulator)
        check_arrays(folder, weights, shapes_of(agent.policy.network))
        set_weights(agent.policy.network, weights)
        return agent

    def _world(self, seed: int) -> SimulatorVecEnv:
        first = _TRAINING_SEEDS + seed % _USERS_PER_SEED * _USERS_PER_SEED
        seeds = np.arange(first, first + self.settings.n_users)
        s = self.settings
        return SimulatorVecEnv(self.simulator, s.action, seeds, s.reward_scale, s.repeats)

    def _untrained(self) -> Any:
        """The policy network with initial weights, as Stable-Baselines3 makes it."""
        s = self.settings
        world = SimulatorVecEnv(self.simulator, s.action, np.zeros(1, np.int64), repeats=s.repeats)
        with torch_chance(0):
            return self._kind()(
                world.observation_space, world.action_space, lambda _: s.learning_rate, **self._network()
            )

    def _kind(self) -> Any:
        """The class of the policy network."""
        return self.algorithm.policy_aliases["MlpPolicy"]

    def _leaves_out_seen(self) -> bool:
        """Whether the network chooses among items, told which ones were seen."""
        return bool(self.settings.action == "item" and not self.settings.repeats)

    def _network(self) -> dict[str, Any]:
        """Arguments of the policy network's constructor."""
        return {
            "net_arch": list(self.settings.hidden), "features_extractor_class": StandardisedObservation,
            "features_extractor_kwargs": {"seen_columns": HISTORY if self._leaves_out_seen() else 0},
        }  # fmt: skip

    def _policy(self, network: Any) -> Any:
        """The network as a policy."""
        return self._vector_policy(network, lambda flat: self.vector(network, flat))

    def _vector_policy(self, network: Any, head: Head) -> VectorPolicy:
        kind = PredictedSignalsPolicy if self.settings.action == "weights" else VectorPolicy
        return kind(network, head, self.squash, self._action(), self.settings.stochastic)

    def _action(self) -> Action:
        return played_action(self.settings.action, self.simulator, self.settings.repeats)

    def vector(self, network: Any, flat: torch.Tensor) -> torch.Tensor:
        """(n, D) -> (n, 2 d): mean and standard deviation of the action vector before `squash`."""
        raise NotImplementedError

    @staticmethod
    def squash(vector: np.ndarray) -> np.ndarray:
        """Brings action vectors into [-1, 1]."""
        return clipped(vector)

    def _arguments(self) -> dict[str, Any]:
        """Arguments of the algorithm's constructor that come from its own settings."""
        raise NotImplementedError

    def _log_interval(self) -> int:
        """Updates (off-policy: ended episodes) between two reports."""
        return 1

    @classmethod
    def _needs(cls, simulator: Simulator) -> Mapping[str, Any]:
        return {"catalogue size": len(simulator.catalog), "slate size": simulator.slate_size,
                "observation width": user_width(simulator), "candidates": simulator.candidates.size,
                "item dimension": simulator.catalog.vector.shape[1]}  # fmt: skip


class _OnPolicyAgent(StableBaselinesAgent):
    """What PPO and A2C share: a Gaussian over vectors, or a softmax over items."""

    def _network(self) -> dict[str, Any]:
        return super()._network() | {"log_std_init": float(np.log(self.settings.action_noise))}

    def _kind(self) -> Any:
        return UnseenActorCritic if self._leaves_out_seen() else super()._kind()

    def _policy(self, network: Any) -> Any:
        if self.settings.action != "item":
            return super()._policy(network)
        return ItemDrawPolicy(
            network, lambda flat: network.get_distribution(flat).distribution.logits, self._action(),
            self.settings.stochastic, self.settings.repeats,
        )  # fmt: skip

    def vector(self, network: Any, flat: torch.Tensor) -> torch.Tensor:
        """See `StableBaselinesAgent.vector`."""
        normal = network.get_distribution(flat).distribution
        return torch.cat([normal.mean, normal.stddev], dim=1)


class PPO(_OnPolicyAgent):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347)."""

    Settings = PPOSettings
    name = "ppo"
    algorithm = sb3.PPO

    def _arguments(self) -> dict[str, Any]:
        s = self.settings
        return {"n_steps": s.rollout_steps, "batch_size": min(s.batch, s.rollout_steps * s.n_users),
                "n_epochs": s.epochs, "ent_coef": s.entropy, "gae_lambda": s.gae_lambda,
                "clip_range": s.clip}  # fmt: skip


class A2C(_OnPolicyAgent):
    """Advantage actor-critic, synchronous (Mnih et al. 2016, arXiv:1602.01783)."""

    Settings = A2CSettings
    name = "a2c"
    algorithm = sb3.A2C

    def _arguments(self) -> dict[str, Any]:
        s = self.settings
        return {"n_steps": s.rollout_steps, "ent_coef": s.entropy, "gae_lambda": s.gae_lambda}

    def _log_interval(self) -> int:
        return 4


class _OffPolicyAgent(StableBaselinesAgent):
    """What DQN, SAC and TD3 share: a replay buffer, and gradient steps after every step of all users."""

    def _arguments(self) -> dict[str, Any]:
        s = self.settings
        return {"buffer_size": max(s.buffer, s.n_users), "learning_starts": s.learning_starts, "batch_size": s.batch,
                "train_freq": 1, "gradient_steps": s.gradient_steps}  # fmt: skip

    def _log_interval(self) -> int:
        return int(self.settings.n_users)


class DQN(_OffPolicyAgent):
    """Deep Q-learning (Mnih et al. 2015) with one value per item of the catalogue, or per candidate.

    The largest of thousands of values is mostly an error of estimation, so DQN gains little here: with its default
    settings 380 s a session in recgym/ShortVideo-v0, where random earns 240 s and A2C, in half the time, 1,070 s
    (500 users, two training seeds).
    """

    Settings = DQNSettings
    name = "dqn"
    algorithm = sb3.DQN

    def _kind(self) -> Any:
        return UnseenDQNPolicy

    def _network(self) -> dict[str, Any]:
        similar = self.settings.similar and not self.simulator.candidates.size
        vector = self.simulator.catalog.vector if similar else None
        return super()._network() | {"item_vector": vector, "masked": self._leaves_out_seen()}

    def _policy(self, network: Any) -> Any:
        epsilon = self.settings.epsilon if self.settings.stochastic else 0.0
        return ItemValuePolicy(network, network.q_net, self._action(), epsilon, self.settings.repeats)

    def _arguments(self) -> dict[str, Any]:
        s = self.settings
        return super()._arguments() | {
            "target_update_interval": s.target_interval * s.n_users, "exploration_fraction": s.exploration,
            "exploration_final_eps": s.epsilon,
        }  # fmt: skip


class SAC(_OffPolicyAgent):
    """Soft actor-critic with a tuned temperature (Haarnoja et al. 2018, arXiv:1812.05905)."""

    Settings = SACSettings
    name = "sac"
    algorithm = sb3.SAC

    def vector(self, network: Any, flat: torch.Tensor) -> torch.Tensor:
        """See `StableBaselinesAgent.vector`."""
        mean, log_std, _ = network.actor.get_action_dist_params(flat)
        return torch.cat([mean, log_std.exp()], dim=1)

    @staticmethod
    def squash(vector: np.ndarray) -> np.ndarray:
        """See `StableBaselinesAgent.squash`."""
        return np.asarray(np.tanh(vector))

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | {"tau": self.settings.tau}


class TD3(_OffPolicyAgent):
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

    Settings = TD3Settings
    name = "td3"
    algorithm = sb3.TD3

    def vector(self, network: Any, flat: torch.Tensor) -> torch.Tensor:
        """See `StableBaselinesAgent.vector`."""
        mean = network.actor(flat)
        return torch.cat([mean, torch.full_like(mean, self.settings.action_noise)], dim=1)

    def _arguments(self) -> dict[str, Any]:
        size = int(self._action().space.shape[0])  # type: ignore[index]
        noise = NormalActionNoise(np.zeros(size), np.full(size, self.settings.action_noise))
        return super()._arguments() | {"tau": self.settings.tau, "action_noise": noise}


class _Scalars(KVWriter):
    """Hands what Stable-Baselines3 records to `report`, under names that every agent here uses."""

    _NAMES: ClassVar[dict[str, str]] = {"rollout/ep_rew_mean": "rollout/reward_mean"}

    def __init__(self, report: Report | None, slate_size: int) -> None:
        self.report = report
        self.slate_size = slate_size
        self._sums: dict[str, list[float]] = defaultdict(list)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Report the numbers of one update; times are left out, since they differ from run to run."""
        scalars = {}
        for key, value in key_values.items():
            if key == "rollout/ep_len_mean":
                scalars["rollout/depth"] = float(value) * self.slate_size
            elif key.startswith(("rollout/", "train/")) and np.isscalar(value):
                scalars[self._NAMES.get(key, key)] = float(value)  # type: ignore[arg-type]
        for name, number in scalars.items():
            self._sums[name].append(number)
        if self.report is not None:
            self.report(step, scalars)

    def means(self) -> dict[str, float]:
        """Mean over the whole training of each scalar."""
        return {name: float(np.mean(numbers)) for name, numbers in self._sums.items()}

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def _global_chance_kept() -> Iterator[None]:
    """Put back the global generators of Python, NumPy and torch, which Stable-Baselines3 seeds and draws from."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
