"""The audience of a check of users: people, luck and slates; and luck that complains when it is asked for twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.conformance import require
from recgym.noise import Noise

TAKEN_DRAWS = ("leave", "return", "candidates", "prediction", "user", "hour")
"""Draws that the simulator makes in the same step; a user model that asks for one of them shares that luck."""

POLICY_DRAWS = "policy"
"""How the names of a policy's draws begin, so that they differ from those of all users and of the simulator."""


@dataclass(frozen=True)
class OnceNoise(Noise):
    """Luck that complains when one user's draw is asked for twice in a step, under `uniform` or `normal` alike.

    Nothing is used up by a draw, so asking twice gives the same numbers twice: two things that should be
    independent move together, and nothing else would ever show it. One object serves a whole step, `respond` and
    `change` together, as in the simulator. Names that belong to somebody else are refused as well.
    """

    of_policy: bool = False
    """Whether a policy holds it; then all names begin with "policy", otherwise none does."""

    asked: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    """Draw name -> (key, step) of the rows that have asked."""

    def uniform(self, name: str, width: int = 1) -> np.ndarray:
        """See `Noise.uniform`; raises `NotConforming` where the name was asked before."""
        self._ask(name)
        return super().uniform(name, width)

    def normal(self, name: str, width: int = 1) -> np.ndarray:
        """See `Noise.normal`; raises `NotConforming` where the name was asked before."""
        self._ask(name)
        return super().normal(name, width)

    def rows(self, index: np.ndarray | slice) -> OnceNoise:
        """See `Noise.rows`; the rows remember together with the whole."""
        return OnceNoise(self.key[index], self.step[index], self.of_policy, self.asked)

    def _ask(self, name: str) -> None:
        now = set(zip(self.key.tolist(), self.step.tolist(), strict=True))
        before = self.asked.setdefault(name, set())
        step = int(self.step[0]) if len(self.step) else 0
        require(
            not now & before, "each draw has its own name", f"the draw {name!r} was asked for twice in step {step}",
            "The same name gives the same numbers: name every draw of a step once, or ask for more columns (`width`).",
        )  # fmt: skip
        require(
            name.startswith(POLICY_DRAWS) == self.of_policy and name not in TAKEN_DRAWS, "each draw has its own name",
            f"the draw {name!r} belongs to somebody else",
            f"Policies call their draws {POLICY_DRAWS!r} and a word; users take any other name except "
            f"{', '.join(TAKEN_DRAWS)}, which are the simulator's.",
        )  # fmt: skip
        before |= now


class Audience(NamedTuple):
    """The n rows of a check: who they are, their luck, and what they are shown in T steps.

    user: (n,) int64. seed: (n,) int64. item: (T, n, k) int32.
    """

    user: np.ndarray
    seed: np.ndarray
    item: np.ndarray

    def some(self, rows: np.ndarray) -> Audience:
        """Some of the rows."""
        return Audience(self.user[rows], self.seed[rows], np.ascontiguousarray(self.item[:, rows]))

    def noise(self, step: int) -> Noise:
        """The luck of all rows at a step; -1 as a visit begins."""
        return Noise.of(self.seed, np.zeros_like(self.seed), step)

    def once(self, step: int) -> OnceNoise:
        """The same luck, which complains when a draw is asked for twice."""
        noise = self.noise(step)
        return OnceNoise(noise.key, noise.step)


def audience_of(n_users: int, catalog: Catalog, n: int, steps: int, k: int, seed: int) -> Audience:
    """People drawn at random, the first and the last one among them; slates of k distinct items, drawn at random."""
    rng = np.random.default_rng([seed, k])
    user = rng.integers(0, n_users, n)
    user[0], user[-1] = 0, n_users - 1
    first = rng.integers(0, len(catalog), (steps, n, 1))
    apart = np.array([rng.choice(len(catalog), k, replace=False) for _ in range(steps)])
    item = ((first + apart[:, None, :]) % len(catalog)).astype(np.int32)
    return Audience(user, rng.integers(0, 2**62, n), item)
