"""What chooses what to show: policies, which never learn, and agents, which own a policy and learn from a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from recgym.noise import Noise
from recgym.observation import Observation

if TYPE_CHECKING:
    from recgym.interaction_log import InteractionLog
    from recgym.simulator import Crowd, Simulator

Memory = Any
"""A NamedTuple of (n, ...) arrays, or () where a policy remembers nothing."""


class Choice(NamedTuple):
    """What n users are shown.

    item: (n, k) int32 item numbers, distinct within a row.
    log_prob: (n,) float64, natural logarithm of the probability of choosing exactly this ordered slate;
        0 for a deterministic policy, NaN where the policy has no tractable probability.
    memory: the memory to hand back at the next step.
    """

    item: np.ndarray
    log_prob: np.ndarray
    memory: Memory


@runtime_checkable
class Policy(Protocol):
    """Chooses slates. Never learns; row i depends on user i alone; chance comes from `noise` alone."""

    def start(self, n: int) -> Memory:
        """A fresh memory for n users."""
        ...

    def act(self, observation: Observation, memory: Memory, noise: Noise) -> Choice:
        """Choose a slate for each of the n users of `observation`."""
        ...


@runtime_checkable
class PrivilegedPolicy(Protocol):
    """A policy that looks into the users' heads (an oracle); rollouts call `look` before each `act`."""

    def look(self, simulator: Simulator, crowd: Crowd) -> None:
        """See the simulator and its users as they stand before the next choice."""
        ...


Report = Callable[[int, Mapping[str, float]], None]
"""Called with the number of steps learned so far and named scalars; for progress bars and TensorBoard."""


class Agent(Protocol):
    """Owns a policy and learns. Offline the log is fixed; online agents make their own experience in the simulator.

    An agent class is called as `AgentClass(settings, simulator)`; `settings` is its frozen dataclass
    `AgentClass.Settings`, and `simulator` (which holds no moving state) tells it the catalogue, the slate size and the
    candidates. One word says what it learns from.
    """

    Settings: ClassVar[type]
    """The frozen dataclass of all settings, a sentence under each field, every field with a default."""

    learns_from: ClassVar[Literal["nothing", "log", "simulator"]]
    """"nothing": ready at once; "log": `learn` needs a log; "simulator": `learn` plays in the simulator."""

    policy: Policy
    """Chooses; usable before and after learning."""

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        """Learn as long as the settings say; returns named, averaged losses. Same log and seed, same policy.

        Raises:
            WrongSetting: a log is needed and none was given, or it lacks a column that is needed.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write settings as JSON and weights as safetensors into `folder`."""
        ...

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> Agent:
        """Read what `save` wrote; nothing is unpickled."""
        ...
