"""Slates against enumeration: probabilities of all ordered slates sum to 1, and draws follow them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from recgym.noise import Noise
from recgym_agents.slates import (
    best_slates,
    softmax_of_scores,
    softmax_slates,
    uniform_log_prob,
    uniform_slates,
    unseen_first,
    with_exploration,
)

NO_CANDIDATES = np.empty((1, 0), np.int32)


def noise(n: int) -> Noise:
    return Noise.of(np.arange(n), np.zeros(n, np.int64))


def scores_as_product(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A query and columns whose dot products are `score` (N,), through a bias coordinate and two others."""
    query = np.array([[2.0, -1.0, 1.0]], np.float32)
    rest = np.random.default_rng(0).standard_normal((2, len(score))).astype(np.float32)
    return query, np.vstack([rest, score - query[0, :2] @ rest]).astype(np.float32)


def plackett_luce(score: np.ndarray, slate: tuple[int, ...]) -> float:
    """Written from the definition: each item among those not yet taken."""
    left, total = list(range(len(score))), 0.0
    for item in slate:
        total += score[item] - np.log(np.exp(score[left]).sum())
        left.remove(item)
    return total


@pytest.mark.parametrize("k", [1, 2, 3])
def test_softmax_slates_have_plackett_luce_probability(k: int) -> None:
    score = np.array([0.5, -1.0, 2.0, 0.0, 1.0])
    slates = list(permutations(range(5), k))
    query, columns = scores_as_product(score)
    n = len(slates)
    given = np.array(slates, np.int32)
    _, log_prob = softmax_slates(
        np.repeat(query, n, 0), columns, np.empty((n, 0), np.int32), np.full((n, k), 0.5), given
    )
    np.testing.assert_allclose(log_prob, [plackett_luce(score, slate) for slate in slates], atol=1e-5)
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-12)


def test_drawn_slates_follow_their_probability() -> None:
    n, score = 40_000, np.array([0.5, -1.0, 1.0, 0.0])
    query, columns = scores_as_product(score)
    item, log_prob = softmax_slates(
        np.repeat(query, n, 0), columns, np.empty((n, 0), np.int32), noise(n).uniform("policy item", 2)
    )
    slates, which, count = np.unique(item, axis=0, return_inverse=True, return_counts=True)
    assert len(slates) == 12
    for i in range(len(slates)):
        p = np.exp(log_prob[which == i])
        assert np.ptp(p) == 0
        assert abs(count[i] / n - p[0]) < 4.5 * np.sqrt(p[0] * (1 - p[0]) / n)


def test_candidates_restrict_the_softmax() -> None:
    score = np.array([0.5, -1.0, 2.0, 0.0, 1.0])
    query, columns = scores_as_product(score)
    candidate = np.array([[4, 0, 3]], np.int32)
    total = 0.0
    for slate in permutations([0, 3, 4], 2):
        _, log_prob = softmax_slates(query, columns, candidate, np.full((1, 2), 0.5), np.array([slate], np.int32))
        local = tuple([4, 0, 3].index(item) for item in slate)
        assert log_prob[0] == pytest.approx(plackett_luce(score[[4, 0, 3]], local), abs=1e-5)
        total += np.exp(log_prob[0])
    assert total == pytest.approx(1, abs=1e-12)
    _, outside = softmax_slates(query, columns, candidate, np.full((1, 1), 0.5), np.array([[1]], np.int32))
    assert outside[0] == -np.inf


def test_scores_far_apart_stay_finite() -> None:
    columns = np.array([[0.0, 500.0, -500.0]], np.float32)
    uniform = np.full((1, 3), 0.999999)
    item, log_prob = softmax_slates(np.ones((1, 1), np.float32), columns, NO_CANDIDATES, uniform)
    assert sorted(item[0]) == [0, 1, 2]
    assert np.isfinite(log_prob).all()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_uniform_slates_are_uniform_and_distinct(k: int) -> None:
    n, room = 30_000, 4
    item, log_prob = uniform_slates(np.empty((n, 0), np.int32), room, k, noise(n))
    slates, count = np.unique(item, axis=0, return_counts=True)
    everything = len(list(permutations(range(room), k)))
    assert len(slates) == everything
    np.testing.assert_allclose(np.exp(log_prob), 1 / everything)
    assert abs(count / n - 1 / everything).max() < 4.5 * np.sqrt(1 / everything / n)


def test_uniform_slates_take_candidates() -> None:
    candidate = np.tile(np.array([[9, 4, 6]], np.int32), (100, 1))
    item, log_prob = uniform_slates(candidate, 50, 2, noise(100))
    assert set(item.ravel()) == {4, 6, 9}
    assert np.exp(log_prob[0]) == pytest.approx(1 / 6)
    assert uniform_log_prob(3, 2) == pytest.approx(-np.log(6))


def test_best_slates_against_sorting() -> None:
    rng = np.random.default_rng(3)
    query, columns = rng.standard_normal((7, 3)).astype(np.float32), rng.standard_normal((3, 40)).astype(np.float32)
    order = np.argsort(-(query @ columns), axis=1)
    np.testing.assert_array_equal(best_slates(query, columns, np.empty((7, 0), np.int32), 4), order[:, :4])
    candidate = np.stack([rng.permutation(40)[:10] for _ in range(7)]).astype(np.int32)
    seen = np.full((7, 20), -1, np.int32)
    seen[:, :2] = candidate[:, :2]
    found = best_slates(query, columns, candidate, 4, seen)
    for i in range(7):
        allowed = [x for x in order[i] if x in candidate[i] and x not in candidate[i, :2]]
        assert found[i].tolist() == allowed[:4]


def test_seen_items_fill_up_only_where_needed() -> None:
    ranked = np.array([[5, 4, 3, 2], [5, 4, 3, 2]], np.int32)
    seen = np.array([[5, 3, -1], [5, 4, 3]], np.int32)
    np.testing.assert_array_equal(unseen_first(ranked, seen, 3), [[4, 2, 5], [2, 5, 4]])


def test_exploration_mixes_exactly() -> None:
    n = 40_000
    best = np.tile(np.array([[2, 0]], np.int32), (n, 1))
    item, log_prob = with_exploration(best, 0.3, np.empty((n, 0), np.int32), 4, noise(n))
    slates, which, count = np.unique(item, axis=0, return_inverse=True, return_counts=True)
    p = np.array([np.exp(log_prob[which == i][0]) for i in range(len(slates))])
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.max() == pytest.approx(0.3 / 12 + 0.7)
    assert (abs(count / n - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()
    alone, certain = with_exploration(best[:5], 0.0, np.empty((5, 0), np.int32), 4, noise(5))
    assert (alone == best[:5]).all()
    assert (certain == 0).all()


def test_softmax_of_scores_is_the_softmax() -> None:
    score = np.array([[0.3, 1.5, -2.0]] * 20_000, np.float32)
    place, log_prob = softmax_of_scores(score, noise(20_000).uniform("policy item", 1))
    p = np.exp(score[0].astype(float)) / np.exp(score[0].astype(float)).sum()
    np.testing.assert_allclose(np.exp(log_prob), p[place], rtol=1e-6)
    assert (abs(np.bincount(place) / 20_000 - p) < 4.5 * np.sqrt(p * (1 - p) / 20_000)).all()
