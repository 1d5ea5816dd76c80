"""Which items can be chosen: distinct, on air, uniform where sampled and exact where retrieved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from recgym.candidates import RetrievedCandidates, SampledCandidates, WholeCatalog
from recgym.catalog import Catalog
from recgym.errors import WrongSetting
from recgym.noise import Noise
from recgym.simulator import Simulator
from recgym.users.synthetic import synthetic_catalog

World = Callable[..., Simulator]


def luck(n: int, step: int = 0) -> Noise:
    return Noise.of(np.arange(n), np.zeros(n), step)


def on_air(n_items: int, first: list[float], last: list[float]) -> Catalog:
    """Items 0, 1, ... are on air from hour `first` until before hour `last`, repeated over the catalogue."""
    window = np.stack([np.resize(first, n_items), np.resize(last, n_items)], axis=1).astype(np.float32)
    return replace(synthetic_catalog(n_items), available_h=window)


def chosen(
    candidates: SampledCandidates | RetrievedCandidates, catalog: Catalog, n: int, hour: float = 12.0, liked: float = 0
) -> np.ndarray:
    """Candidates of n users who all liked the same."""
    mean = np.full((n, catalog.vector.shape[1]), liked, np.float32)
    return candidates.choose(catalog, mean, np.full(n, hour), luck(n))


def is_uniform(count: np.ndarray) -> bool:
    """Chi-square over equally likely cells, p = .001 (sampling without replacement only lowers it)."""
    wanted = count.sum() / len(count)
    return bool(((count - wanted) ** 2 / wanted).sum() < stats.chi2.ppf(0.999, len(count) - 1))


@pytest.mark.parametrize("size", [1, 7, 40])
def test_sampled_candidates_are_uniform_and_distinct(size: int) -> None:
    drawn = chosen(SampledCandidates(size), synthetic_catalog(40), 8000)
    assert drawn.dtype == np.int32
    assert all(len(set(row)) == size for row in drawn.tolist())
    assert is_uniform(np.bincount(drawn.ravel(), minlength=40))
    assert is_uniform(np.bincount(drawn[:, 0], minlength=40)), "each place alone too"


def test_pairs_are_uniform() -> None:
    drawn = chosen(SampledCandidates(2), synthetic_catalog(6), 9000)
    pair = drawn[:, 0] * 6 + drawn[:, 1]
    off_diagonal = [a * 6 + b for a in range(6) for b in range(6) if a != b]
    assert is_uniform(np.bincount(pair, minlength=36)[off_diagonal])


def test_only_what_is_on_air() -> None:
    catalog = on_air(60, [0, 10, 20], [10, 20, 30])
    for hour, kind in ((0, 0), (9.9, 0), (10, 1), (19.99, 1), (20, 2)):
        drawn = chosen(SampledCandidates(20), catalog, 50, hour)
        assert set((drawn % 3).ravel().tolist()) == {kind}, hour


@pytest.mark.parametrize("size", [1, 3, 10])
def test_few_items_on_air_are_uniform_too(size: int) -> None:
    """Items 0 to 9 of 1,000: a scan that starts anywhere and stops at the first one on air nearly always finds 0."""
    catalog = on_air(1000, [0] * 10 + [1000] * 990, [100] * 10 + [2000] * 990)
    drawn = chosen(SampledCandidates(size), catalog, 4000)
    assert set(drawn.ravel().tolist()) == set(range(10))
    assert all(len(set(row)) == size for row in drawn.tolist())
    for place in range(size):
        assert is_uniform(np.bincount(drawn[:, place], minlength=10)), place


def test_too_few_items_say_so() -> None:
    with pytest.raises(WrongSetting, match=r"fewer than 21 items are on air at hour 12.0; ask for fewer"):
        chosen(SampledCandidates(21), on_air(60, [0, 10, 20], [10, 20, 30]), 2)
    with pytest.raises(WrongSetting, match="41 candidates cannot be drawn from a catalogue of 40 items"):
        chosen(SampledCandidates(41), synthetic_catalog(40), 2)
    with pytest.raises(WrongSetting, match="41 candidates cannot be drawn"):
        chosen(RetrievedCandidates(41), synthetic_catalog(40), 2)
    with pytest.raises(WrongSetting, match=r"too few items are on air at hour 50.0 for 10 candidates"):
        chosen(RetrievedCandidates(10), on_air(60, [0], [30]), 2, hour=50)
    with pytest.raises(WrongSetting, match=r"too few items are on air at hour 50.0 for 10 candidates"):
        chosen(RetrievedCandidates(10), on_air(60, [0], [30]), 2, hour=50, liked=1)


def test_wrong_sizes_are_refused() -> None:
    for make, message in (
        (lambda: SampledCandidates(0), "SampledCandidates.size is 0; at least 1"),
        (lambda: RetrievedCandidates(1), "RetrievedCandidates.size is 1; at least 2"),
        (lambda: RetrievedCandidates(10, explored=1.1), r"explored is 1.1; it must lie in \[0, 1\]"),
        (lambda: RetrievedCandidates(10, explored=float("nan")), "explored is nan"),
    ):
        with pytest.raises(WrongSetting, match=message):
            make()


@pytest.mark.parametrize(("explored", "near"), [(0.0, 10), (0.3, 7), (0.5, 5), (1.0, 0)])
def test_retrieved_candidates_are_the_exact_nearest(explored: float, near: int) -> None:
    catalog, rng = synthetic_catalog(3000), np.random.default_rng(1)
    liked = rng.standard_normal((40, catalog.vector.shape[1])).astype(np.float32)
    drawn = RetrievedCandidates(10, explored).choose(catalog, liked, np.full(40, 5.0), luck(40))
    exact = np.argsort(-(liked.astype(float) @ catalog.vector.T.astype(float)), axis=1)[:, :near]
    np.testing.assert_array_equal(drawn[:, :near], exact)
    assert all(len(set(row)) == 10 for row in drawn.tolist())
    if near < 10:
        rest = np.bincount(drawn[:, near:].ravel() // 300, minlength=10)
        assert is_uniform(rest)


@pytest.mark.parametrize("explored", [0.0, 0.5])
def test_a_new_user_is_offered_sampled_items_only(explored: float) -> None:
    """Before anything was watched all scores are 0; the first items of the catalogue are no nearer than others."""
    catalog = synthetic_catalog(3000)
    drawn = chosen(RetrievedCandidates(10, explored), catalog, 2000)
    np.testing.assert_array_equal(drawn, chosen(SampledCandidates(10), catalog, 2000))
    assert is_uniform(np.bincount(drawn.ravel() // 300, minlength=10))


def test_new_and_known_users_of_one_batch_get_what_they_get_alone() -> None:
    catalog, rng = synthetic_catalog(3000), np.random.default_rng(1)
    liked = rng.standard_normal((9, catalog.vector.shape[1])).astype(np.float32)
    liked[[1, 5]] = 0
    candidates, clock, noise = RetrievedCandidates(10, 0.3), np.full(9, 5.0), luck(9)
    drawn = candidates.choose(catalog, liked, clock, noise)
    for i in range(9):
        one = Noise(noise.key[i : i + 1], noise.step[i : i + 1])
        np.testing.assert_array_equal(candidates.choose(catalog, liked[i : i + 1], clock[:1], one)[0], drawn[i])


def test_the_whole_catalogue_makes_no_list() -> None:
    assert WholeCatalog().size == 0
    none = WholeCatalog().choose(synthetic_catalog(9), np.zeros((4, 18), np.float32), np.zeros(4), luck(4))
    assert none.shape == (4, 0)


def test_candidates_change_at_each_step_and_by_user(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(8))
    crowd = simulator.start(np.arange(30))
    before = crowd.candidate.copy()
    assert len({tuple(row) for row in before.tolist()}) == 30
    simulator.step(crowd, np.zeros((30, 1), np.int32))
    assert (crowd.candidate != before).any(axis=1).all()
