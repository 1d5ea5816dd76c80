"""Settings of PPO, A2C, DQN, SAC and TD3; kept apart from the learners, so that reading them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from recgym.errors import WrongSetting
from recgym_agents.setting_checks import check_positive, check_share, check_widths


@dataclass(frozen=True)
class LearnerSettings:
    """What all learners of Stable-Baselines3 share."""

    action: str = "query"
    """What the network puts out: "item", "query" (a vector; the nearest items are shown), "weights" (of candidates)."""

    steps: int = 200_000
    """Steps of users played in training, all users together."""

    learning_rate: float = 3e-4
    """Adam's (A2C: RMSprop's) step size."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""

    n_users: int = 128
    """Users played at once."""

    gamma: float = 0.8
    """Discount of a reward one step later."""

    reward_scale: float = 0.1
    """Every reward is multiplied by it before learning; 0.1 brings seconds of watch time near 1."""

    stochastic: bool = False
    """Whether the finished policy explores as it did in training, or takes its best action."""

    repeats: bool = False
    """Whether an item among the user's last 20 may be shown again, in training and afterwards."""

    allowed: ClassVar[tuple[str, ...]] = ("query", "weights")
    """Actions this learner can put out."""

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Settings").lower()
        if self.action not in self.allowed:
            raise WrongSetting(
                f"{name} cannot put out the action {self.action!r}; it can put out {' or '.join(self.allowed)}."
            )
        check_widths(name, self.hidden)
        check_share(name, gamma=self.gamma)
        whole = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        check_positive(name, learning_rate=self.learning_rate, reward_scale=self.reward_scale, **whole)


@dataclass(frozen=True)
class OnPolicySettings(LearnerSettings):
    """What PPO and A2C share."""

    reward_scale: float = 0.01
    """Every reward is multiplied by it before learning, so that the value's gradients do not drown the policy's."""

    entropy: float = 0.0
    """Weight of the policy's entropy, which keeps it exploring."""

    gae_lambda: float = 0.9
    """Trade between bias (0) and variance (1) of the advantages."""

    action_noise: float = 0.4
    """Standard deviation of each coordinate of the action vector as training begins; it is learned from there."""

    allowed: ClassVar[tuple[str, ...]] = ("query", "weights", "item")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(type(self).__name__.removesuffix("Settings").lower(), action_noise=self.action_noise)


@dataclass(frozen=True)
class PPOSettings(OnPolicySettings):
    """Settings of PPO."""

    steps: int = 400_000
    """Steps of users played in training, all users together."""

    n_users: int = 32
    """Users played at once."""

    rollout_steps: int = 16
    """Steps of each user between two updates."""

    batch: int = 256
    """Transitions per gradient step."""

    epochs: int = 3
    """Passes over the transitions of an update."""

    clip: float = 0.2
    """How far the probability ratio may move within one update."""


@dataclass(frozen=True)
class A2CSettings(OnPolicySettings):
    """Settings of A2C."""

    steps: int = 500_000
    """Steps of users played in training, all users together."""

    learning_rate: float = 7e-4
    """RMSprop's step size."""

    rollout_steps: int = 8
    """Steps of each user between two updates."""


@dataclass(frozen=True)
class OffPolicySettings(LearnerSettings):
    """What DQN, SAC and TD3 share."""

    steps: int = 50_000
    """Steps of users played in training, all users together."""

    n_users: int = 64
    """Users played at once."""

    gradient_steps: int = 2
    """Gradient steps after each step of all users."""

    batch: int = 256
    """Transitions per gradient step."""

    buffer: int = 50_000
    """Transitions remembered."""

    learning_starts: int = 2_000
    """Steps of users played at random before learning."""


@dataclass(frozen=True)
class DQNSettings(OffPolicySettings):
    """Settings of DQN."""

    steps: int = 40_000
    """Steps of users played in training, all users together."""

    reward_scale: float = 0.01
    """Every reward is multiplied by it before learning; errors above 1 would count by their size, not their square."""

    action: str = "item"
    """What the network puts out: a value for every item, the largest of which is shown."""

    similar: bool = True
    """Whether the value of an item is a dot product with its vector, so that similar items learn together, or an output
    of its own. Among candidates, whose places hold other items at every step, it is always an output of its own."""

    target_interval: int = 20
    """Steps of all users between two copies of the network into the target network."""

    exploration: float = 0.3
    """Share of training during which the chance of a random item falls from 1 to `epsilon`."""

    epsilon: float = 0.05
    """Chance of a random item afterwards, and in a stochastic policy."""

    allowed: ClassVar[tuple[str, ...]] = ("item",)


@dataclass(frozen=True)
class SACSettings(OffPolicySettings):
    """Settings of SAC."""

    reward_scale: float = 0.3
    """Every reward is multiplied by it before learning; the larger, the less the policy's entropy weighs."""

    tau: float = 0.01
    """Share by which the target network follows at each gradient step."""


@dataclass(frozen=True)
class TD3Settings(OffPolicySettings):
    """Settings of TD3."""

    reward_scale: float = 0.03
    """Every reward is multiplied by it before learning."""

    tau: float = 0.01
    """Share by which the target network follows at each gradient step."""

    action_noise: float = 0.2
    """Standard deviation of the exploration added to actions, in training and in a stochastic policy."""
