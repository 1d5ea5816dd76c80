"""Exact top-k against NumPy's stable sort, ties included, and the same for one user as for many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from recgym.ranking import top_k_of_query, top_k_of_scores


def sorted_top(score: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-score, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("size", [1, 5, 1023, 1024, 1025, 3000])
@pytest.mark.parametrize("k", [1, 6, 100])
def test_queries_against_a_stable_sort(size: int, k: int) -> None:
    """Whole numbers, so that products are exact and ties are many; sizes around the block of 1,024."""
    rng, k = np.random.default_rng(size + k), min(k, size)
    query = rng.integers(-3, 4, (17, 4)).astype(np.float32)
    vector = rng.integers(-3, 4, (size, 4)).astype(np.float32)
    found = top_k_of_query(query, np.ascontiguousarray(vector.T), k)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, sorted_top(query @ vector.T, k))


def test_real_queries() -> None:
    rng = np.random.default_rng(0)
    query, vector = rng.standard_normal((50, 16)).astype(np.float32), rng.standard_normal((5000, 16)).astype(np.float32)
    exact = sorted_top(query.astype(float) @ vector.T.astype(float), 20)
    np.testing.assert_array_equal(top_k_of_query(query, np.ascontiguousarray(vector.T), 20), exact)


def test_one_query_alone_is_the_same_bits() -> None:
    """Near ties that only the last digit decides: two copies of each vector, one of them moved by one unit."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((700, 16)).astype(np.float32)
    columns = np.ascontiguousarray(np.concatenate([half, np.nextafter(half, np.float32(9))]).T)
    query = rng.standard_normal((30, 16)).astype(np.float32)
    together = top_k_of_query(query, columns, 50)
    for i in range(30):
        np.testing.assert_array_equal(top_k_of_query(query[i : i + 1], columns, 50)[0], together[i])


@settings(deadline=None, max_examples=60)  # the first call compiles
@given(
    score=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-3, 3)),
    data=st.data(),
)
def test_scores_against_a_stable_sort(score: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, score.shape[1]))
    np.testing.assert_array_equal(top_k_of_scores(score, k), sorted_top(score, k))


def test_nobody_asks() -> None:
    assert top_k_of_query(np.zeros((0, 4), np.float32), np.zeros((4, 9), np.float32), 3).shape == (0, 3)
    assert top_k_of_scores(np.zeros((0, 9)), 3).shape == (0, 3)
