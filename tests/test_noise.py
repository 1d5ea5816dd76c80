"""Named chance: the same bits as a slow second implementation, one row per user, and nothing correlated."""

from __future__ import annotations

import itertools
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recgym.noise import Noise, draw_name, normal_quantile, scramble, uniform_at

MASK = 2**64 - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15
BITS = 52  # with half a unit added, 52 random bits are what a float64 in (0, 1) can hold exactly
INT64 = st.integers(-(2**63), 2**63 - 1)


# The second implementation: Python integers, one number at a time, written from the documentation.


def mixed(x: int) -> int:
    """The finaliser of splitmix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def slow_uniform(seed: int, episode: int, step: int, name: str, column: int) -> float:
    key = mixed(mixed(seed + GOLDEN_RATIO & MASK) + GOLDEN_RATIO * (episode + 1) & MASK)
    at = mixed(key + GOLDEN_RATIO * (step + 1) & MASK)
    number = mixed(zlib.crc32(name.encode()) + 1)
    return ((mixed(at + number + GOLDEN_RATIO * column & MASK) >> (64 - BITS)) + 0.5) * 2.0**-BITS


def unmixed(y: int) -> int:
    """The number whose `mixed` is y."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        x = y
        for _ in range(64 // shift + 1):
            x = y ^ (x >> shift)
        y = x * pow(factor, -1, 2**64) & MASK
    return y


def luck(seeds: list[int], episode: int = 0, step: int = 0) -> Noise:
    seed = np.array(seeds, np.int64)
    return Noise.of(seed, np.full(len(seed), episode), step)


@settings(deadline=None)  # the first call compiles
@given(seed=INT64, episode=st.integers(0, 2**40), step=st.integers(-1, 2**40), name=st.text(), column=st.integers(0, 5))
def test_same_bits_as_the_slow_implementation(seed: int, episode: int, step: int, name: str, column: int) -> None:
    drawn = luck([seed], episode, step).uniform(name, column + 1)
    assert drawn[0, column] == slow_uniform(seed, episode, step, name, column)


def test_same_bits_for_many_users() -> None:
    drawn = luck(list(range(-50, 50)), 3, 17).uniform("leave", 4)
    slow = [[slow_uniform(seed, 3, 17, "leave", column) for column in range(4)] for seed in range(-50, 50)]
    np.testing.assert_array_equal(drawn, slow)


def test_recorded_numbers() -> None:
    """Written down in November 2026. A change here changes every published result."""
    seed = np.array([0, 1, -1, 2**63 - 1, -(2**63), 42])
    noise = Noise.of(seed, np.array([0, 0, 0, 3, 7, 2**40]), np.array([-1, 0, 1, 5, 2**40, 12]))
    assert noise.key.tolist() == [
        12035550249420947055, 6791897765849424158, 6755974106381971767,
        511736657184349467, 3398544264277355572, 7067088624304863322,
    ]  # fmt: skip
    assert [int(draw_name("leave")), int(draw_name(""))] == [4167743633606201598, 6238072747940578789]
    uniform = [
        [0.5843743241315333, 0.004350956615049195], [0.19836349791424662, 0.9942041822297814],
        [0.5155941413366196, 0.08333133980131341], [0.339022818217567, 0.41749047063233086],
        [0.15151091727014293, 0.5371583736043408], [0.0869993065531805, 0.7897837931883849],
    ]  # fmt: skip
    np.testing.assert_allclose(noise.uniform("leave", 2), uniform, rtol=0, atol=2.0**-BITS)
    normal = [
        [0.2130969393358112, -2.623548199224395], [-0.8474811377203857, 2.5243381907726534],
        [0.039098675081364255, -1.383007130640226], [-0.4151315061444627, -0.20831766260153062],
        [-1.0299748027653008, 0.09327731595206003], [-1.3594671247087045, 0.8056712790819084],
    ]  # fmt: skip
    np.testing.assert_allclose(noise.normal("leave", 2), normal, rtol=0, atol=1e-13)


def test_the_finaliser_is_the_published_one() -> None:
    """First outputs of splitmix64 started at 1234567, as in the reference implementation's known answers."""
    outputs = [int(scramble(np.uint64(1234567 + i * GOLDEN_RATIO & MASK))) for i in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_the_same_in_another_process() -> None:
    code = "import numpy as np; from recgym.noise import Noise; "
    code += "print(Noise.of(np.arange(3), np.arange(3), 2).uniform('x', 2).tobytes().hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == Noise.of(np.arange(3), np.arange(3), 2).uniform("x", 2).tobytes().hex()


# Row i is user i.


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_user_alone_has_the_luck_of_the_user_in_a_crowd(kind: str) -> None:
    seed, episode = np.arange(-100, 100), np.arange(200) % 7
    crowd = getattr(Noise.of(seed, episode, 5), kind)("like", 3)
    for i in (0, 1, 99, 199):
        alone = getattr(Noise.of(seed[i : i + 1], episode[i : i + 1], 5), kind)("like", 3)
        np.testing.assert_array_equal(alone[0], crowd[i])


@pytest.mark.parametrize("index", [slice(2, 7), slice(None, None, -1), np.arange(10) % 3 == 0, np.array([4, 4, 0])])
def test_rows_are_rows(index: slice | np.ndarray) -> None:
    noise = Noise.of(np.arange(10), np.arange(10), np.arange(10))
    np.testing.assert_array_equal(noise.rows(index).uniform("x", 2), noise.uniform("x", 2)[index])


def test_each_user_may_be_at_another_step() -> None:
    together = Noise.of(np.array([5, 5, 5]), np.zeros(3), np.array([-1, 0, 8])).uniform("x")[:, 0]
    apart = [luck([5], 0, step).uniform("x")[0, 0] for step in (-1, 0, 8)]
    np.testing.assert_array_equal(together, apart)


def test_asking_twice_or_for_more_columns_changes_nothing() -> None:
    noise = luck([1, 2, 3])
    first = noise.uniform("x", 2)
    noise.uniform("y", 100)
    np.testing.assert_array_equal(noise.uniform("x", 5)[:, :2], first)


def test_no_users_and_no_columns() -> None:
    assert luck([]).uniform("x", 3).shape == (0, 3)
    assert luck([1, 2]).normal("x", 0).shape == (2, 0)


@settings(deadline=None)  # the first call compiles
@given(seed=INT64)
def test_any_seed_gives_numbers_inside_the_interval(seed: int) -> None:
    noise = luck([seed], 2**62, 2**62)
    assert np.all((noise.uniform("x", 50) > 0) & (noise.uniform("x", 50) < 1))
    assert np.all(np.isfinite(noise.normal("x", 50)))


def test_neighbouring_and_opposite_seeds_differ() -> None:
    seeds = [0, 1, -1, 2, -2, 2**31, 2**32, -(2**32), 2**62, 2**63 - 1, -(2**63)]
    drawn = luck(seeds).uniform("x")[:, 0]
    assert len(set(drawn.tolist())) == len(seeds)


# Numbers at the edges.


@pytest.mark.parametrize("bits", [0, 1, MASK - 1, MASK])
def test_no_bits_give_0_or_1(bits: int) -> None:
    """The four rarest outcomes, found by running the mixing function backwards."""
    assert mixed(unmixed(bits)) == bits
    u = uniform_at(np.uint64(unmixed(bits)), np.uint64(0), np.int64(0))
    assert 0.0 < u < 1.0
    assert np.isfinite(normal_quantile(u))
    assert abs(u - (0.0 if bits < 2 else 1.0)) < 1e-15


def test_the_normal_quantile_is_as_exact_as_documented() -> None:
    edges = [2.0**-53, 1e-12, 1e-6, 0.02425, np.nextafter(0.02425, 0), 0.97575, np.nextafter(0.97575, 1), 1 - 2.0**-52]
    p = np.concatenate([edges, np.linspace(1e-5, 1 - 1e-5, 10_001)])
    p = p[p != 0.5]
    mine = np.array([normal_quantile(one) for one in p])
    np.testing.assert_allclose(mine, stats.norm.ppf(p), rtol=1.2e-9, atol=0)
    assert normal_quantile(0.5) == 0.0
    assert np.all(np.diff(np.array([normal_quantile(one) for one in np.linspace(0.001, 0.999, 9_999)])) > 0)


def test_normal_draws_are_the_quantiles_of_uniform_draws() -> None:
    noise = luck(list(range(200)))
    expected = stats.norm.ppf(noise.uniform("x", 3))
    np.testing.assert_allclose(noise.normal("x", 3), expected, rtol=1.2e-9, atol=1e-12)


# Chance that looks like chance. All seeds are fixed, so these tests cannot fail by bad luck twice.

N = 50_000


def along(what: str) -> np.ndarray:
    """N uniform draws, neighbours differing by one in seed, episode, step or column."""
    count, zero = np.arange(N), np.zeros(N, np.int64)
    if what == "column":
        row: np.ndarray = luck([7]).uniform("x", N)[0]
        return row
    where = {"seed": (count, zero, zero), "episode": (zero, count, zero), "step": (zero, zero, count)}[what]
    drawn: np.ndarray = Noise.of(*where).uniform("x")[:, 0]
    return drawn


@pytest.mark.parametrize("what", ["seed", "episode", "step", "column"])
def test_draws_are_uniform_and_neighbours_unrelated(what: str) -> None:
    drawn = along(what)
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    pairs, _, _ = np.histogram2d(drawn[:-1], drawn[1:], bins=16, range=[[0, 1], [0, 1]])
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3
    for lag in (1, 2, 3, 16):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 4 / np.sqrt(N)


def test_normal_draws_are_normal() -> None:
    drawn = luck(list(range(N))).normal("x")[:, 0]
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(drawn.var() - 1) < 4 * np.sqrt(2 / N)


def test_names_columns_steps_and_episodes_are_unrelated() -> None:
    users = list(range(N))
    now, later, again = luck(users), luck(users, step=1), luck(users, episode=1)
    columns = {
        "leave": now.uniform("leave", 2)[:, 0], "leave, column 1": now.uniform("leave", 2)[:, 1],
        "leavf": now.uniform("leavf")[:, 0], "like": now.uniform("like")[:, 0], "empty": now.uniform("")[:, 0],
        "next step": later.uniform("leave")[:, 0], "next episode": again.uniform("leave")[:, 0],
    }  # fmt: skip
    for (first, a), (second, b) in itertools.combinations(columns.items(), 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(N), (first, second)
        assert abs(np.corrcoef(abs(a - 0.5), abs(b - 0.5))[0, 1]) < 4 / np.sqrt(N), (first, second)


def test_no_two_of_a_million_keys_are_equal() -> None:
    seed, episode = (grid.ravel() for grid in np.meshgrid(np.arange(-500, 500), np.arange(1000)))
    assert len(np.unique(Noise.of(seed, episode).key)) == 1_000_000


def test_every_bit_of_a_seed_moves_about_half_of_the_bits_of_the_key() -> None:
    rng = np.random.default_rng(1)
    seed = rng.integers(-(2**63), 2**63 - 1, size=2_000)
    flips = [Noise.of(seed ^ np.int64(1 << bit), 0 * seed).key ^ Noise.of(seed, 0 * seed).key for bit in range(63)]
    changed = np.bitwise_count(np.array(flips)).mean(axis=1)
    assert np.all(abs(changed - 32) < 0.6)
