"""Named chance: every draw is a pure function of (user's seed, episode, step, name, column).

Nothing is used up, so a session does not depend on who else is simulated, adding a draw moves no other draw, and
two policies meet the same users with the same luck. The mixing function is the finaliser of splitmix64 (Steele,
Lea, Flood 2014, "Fast splittable pseudorandom number generators"); the normal quantile is Acklam's rational
approximation (relative error below 1.2e-9). The functions in lower case are compiled once and used by the kernels
of the ready-made users and by `Noise` alike, so both see the same bits.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from recgym.compiled import compiled

ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_UNIT = 2.0**-52


@compiled(inline="always")
def scramble(x: np.uint64) -> np.uint64:
    """One 64-bit number from another, every input bit moving about half of the output bits."""
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


@compiled(inline="always")
def step_key(key: np.uint64, step: int) -> np.uint64:
    """The key of one user's step; all draws of the step start from it."""
    return scramble(key + ODD * np.uint64(step + 1))


@compiled(inline="always")
def uniform_at(at: np.uint64, name: np.uint64, column: int) -> float:
    """The draw `name`, column `column`, of the step whose key is `at`: in (0, 1), 52 random bits, never 0 or 1."""
    bits = scramble(at + name + ODD * np.uint64(column))
    return (np.float64(bits >> _S12) + 0.5) * _UNIT


@compiled
def normal_quantile(p: float) -> float:
    """The standard normal quantile of p in (0, 1)."""
    if p < 0.02425 or p > 0.97575:
        q = math.sqrt(-2.0 * math.log(p if p < 0.5 else 1.0 - p))
        top = ((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q
                - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783  # fmt: skip
        low = (((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q
               + 3.754408661907416) * q + 1.0  # fmt: skip
        return top / low if p < 0.5 else -top / low
    q = p - 0.5
    r = q * q
    top = ((((-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02) * r
            + 1.383577518672690e02) * r - 3.066479806614716e01) * r + 2.506628277459239  # fmt: skip
    low = ((((-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02) * r
            + 6.680131188771972e01) * r - 1.328068155288572e01) * r + 1.0  # fmt: skip
    return top * q / low


@compiled(inline="always")
def user_key(seed: int, episode: int) -> np.uint64:
    """The key of one user's episode; all its steps start from it."""
    return scramble(scramble(np.uint64(seed) + ODD) + ODD * np.uint64(episode + 1))


@compiled
def _keys(seed: np.ndarray, episode: np.ndarray) -> np.ndarray:
    out = np.empty(len(seed), np.uint64)
    for i in range(len(seed)):
        out[i] = user_key(seed[i], episode[i])
    return out


@compiled
def _uniforms(key: np.ndarray, step: np.ndarray, name: np.uint64, width: int, normal: bool) -> np.ndarray:
    out = np.empty((len(key), width))
    for i in range(len(key)):
        at = step_key(key[i], step[i])
        for j in range(width):
            u = uniform_at(at, name, j)
            out[i, j] = normal_quantile(u) if normal else u
    return out


@cache
def draw_name(name: str) -> np.uint64:
    """The 64-bit number of a draw's name; stable across processes and machines."""
    return np.uint64(scramble(np.uint64(zlib.crc32(name.encode()) + 1)))


@dataclass(frozen=True)
class Noise:
    """The luck of n users at one step, one row per user.

    key: (n,) uint64, mixed from each user's seed and episode.
    step: (n,) int64, the step within the episode; -1 while the episode starts.
    """

    key: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, seed: np.ndarray, episode: np.ndarray | int, step: np.ndarray | int = 0) -> Noise:
        """The luck of users with seeds (n,) int64 in their `episode` (n,) int64 at `step` ((n,) or one number)."""
        seed = np.asarray(seed, np.int64)
        key = _keys(seed, np.broadcast_to(np.asarray(episode, np.int64), seed.shape))
        return cls(key, np.array(np.broadcast_to(np.asarray(step, np.int64), seed.shape)))

    def uniform(self, name: str, width: int = 1) -> np.ndarray:
        """(n, width) float64 in (0, 1). The same name gives the same numbers: name each draw of a step once."""
        return np.asarray(_uniforms(self.key, self.step, draw_name(name), width, False))

    def normal(self, name: str, width: int = 1) -> np.ndarray:
        """(n, width) float64, standard normal; the quantiles of `uniform(name, width)`."""
        return np.asarray(_uniforms(self.key, self.step, draw_name(name), width, True))

    def rows(self, index: np.ndarray | slice) -> Noise:
        """The luck of some of the users: `index` is a slice, a mask or row numbers."""
        return Noise(self.key[index], self.step[index])
