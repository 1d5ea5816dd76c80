"""Which items can be chosen at a step: the whole catalogue, a sample, a retrieved set, what is on air now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recgym.catalog import Catalog
from recgym.compiled import compiled
from recgym.errors import WrongSetting
from recgym.noise import Noise, draw_name, step_key, uniform_at
from recgym.ranking import top_k_of_query

_SAMPLE = draw_name("candidates")
_TRIES = 64


class Candidates(Protocol):
    """Chooses, for each user and step, the m items that may be shown."""

    @property
    def size(self) -> int:
        """m, the number of candidates; 0 means the whole catalogue at every step."""
        ...

    def choose(self, catalog: Catalog, liked: np.ndarray, clock_h: np.ndarray, noise: Noise) -> np.ndarray:
        """(n, m) int32, distinct within a row.

        Args:
            catalog: the items.
            liked: (n, d) float32, the running mean of the vectors of what each user watched.
            clock_h: (n,) float64, hours since the world began.
            noise: chance.
        """
        ...


def _check_size(name: str, size: int, at_least: int = 1) -> None:
    if size < at_least:
        raise WrongSetting(f"{name}.size is {size}; at least {at_least} candidate is needed.")


@dataclass(frozen=True)
class WholeCatalog:
    """Every item, at every step."""

    size: int = 0
    """Always 0: no list is made."""

    def choose(self, catalog: Catalog, liked: np.ndarray, clock_h: np.ndarray, noise: Noise) -> np.ndarray:
        """See `Candidates.choose`; (n, 0)."""
        return np.empty((len(liked), 0), np.int32)


@dataclass(frozen=True)
class SampledCandidates:
    """Items drawn uniformly from those on air (`Catalog.available_h`), anew at each step."""

    size: int = 100
    """Number of candidates."""

    def __post_init__(self) -> None:
        _check_size("SampledCandidates", self.size)

    def choose(self, catalog: Catalog, liked: np.ndarray, clock_h: np.ndarray, noise: Noise) -> np.ndarray:
        """See `Candidates.choose`; raises `WrongSetting` where fewer items are on air than are asked for."""
        if self.size > len(catalog):
            raise WrongSetting(f"{self.size} candidates cannot be drawn from a catalogue of {len(catalog)} items.")
        out = np.empty((len(liked), self.size), np.int32)
        none = np.zeros(len(liked), np.int64)
        short = _sample(out, none, clock_h, catalog.available_h, noise.key, noise.step)
        if short >= 0:
            raise WrongSetting(
                f"fewer than {self.size} items are on air at hour {clock_h[short]:.1f}; ask for fewer candidates."
            )
        return out


@dataclass(frozen=True)
class RetrievedCandidates:
    """The items nearest to what the user watched, filled up with sampled ones: the first of two stages."""

    size: int = 100
    """Number of candidates."""

    explored: float = 0.5
    """Share of the candidates that are drawn uniformly instead of retrieved."""

    def __post_init__(self) -> None:
        _check_size("RetrievedCandidates", self.size, 2)
        if not 0 <= self.explored <= 1:
            raise WrongSetting(f"RetrievedCandidates.explored is {self.explored}; it must lie in [0, 1].")

    def choose(self, catalog: Catalog, liked: np.ndarray, clock_h: np.ndarray, noise: Noise) -> np.ndarray:
        """See `Candidates.choose`. Availability windows hold for the sampled part only.

        Users who have watched nothing yet get sampled items alone.
        """
        if self.size > len(catalog):
            raise WrongSetting(f"{self.size} candidates cannot be drawn from a catalogue of {len(catalog)} items.")
        near = round(self.size * (1 - self.explored))
        out = np.empty((len(liked), self.size), np.int32)
        known = (liked != 0).any(axis=1)
        if near:
            out[:, :near] = top_k_of_query(liked, catalog.vector_columns, near)
        kept = np.where(known, near, 0)
        short = _sample(out, kept, clock_h, catalog.available_h, noise.key, noise.step)
        if short >= 0:
            raise WrongSetting(f"too few items are on air at hour {clock_h[short]:.1f} for {self.size} candidates.")
        return out


@compiled
def _sample(
    out: np.ndarray,
    start: np.ndarray,
    clock_h: np.ndarray,
    available_h: np.ndarray,
    key: np.ndarray,
    step: np.ndarray,
) -> int:
    """Fill out[i, start[i]:] with distinct items on air, drawn uniformly; returns -1, or a row with too few on air.

    By rejection; where 64 tries in a row fail, few items are left, and one of those is drawn by its rank.
    """
    n, m = out.shape
    size = available_h.shape[0]
    for i in range(n):
        at = step_key(key[i], step[i])
        draw = 0
        for j in range(start[i], m):
            found = -1
            for _ in range(_TRIES):
                x = min(int(uniform_at(at, _SAMPLE, draw) * size), size - 1)
                draw += 1
                if _allowed(out, i, j, x, clock_h[i], available_h):
                    found = x
                    break
            if found < 0:
                left = 0
                for x in range(size):
                    left += _allowed(out, i, j, x, clock_h[i], available_h)
                if left == 0:
                    return i
                rank = min(int(uniform_at(at, _SAMPLE, draw) * left), left - 1)
                draw += 1
                for x in range(size):
                    if _allowed(out, i, j, x, clock_h[i], available_h):
                        if rank == 0:
                            found = x
                            break
                        rank -= 1
            out[i, j] = found
    return -1


@compiled(inline="always")
def _allowed(out: np.ndarray, i: int, j: int, x: int, hour: float, available_h: np.ndarray) -> bool:
    if hour < available_h[x, 0] or hour >= available_h[x, 1]:
        return False
    for c in range(j):  # noqa: SIM110 (compiled: a plain loop)
        if out[i, c] == x:
            return False
    return True
