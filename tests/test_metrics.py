from __future__ import annotations

import numpy as np
import pytest

from recgym.errors import WrongSetting, WrongShape
from recgym.metrics import (
    checked_popularity,
    coverage,
    gini,
    intra_list_diversity,
    novelty_bits,
    per_user_mean,
    per_user_sum,
    ratio,
)

PLANE = np.array([[1, 0], [0, 2], [-3, 0], [1, 1], [0, 0]], np.float32)
"""East, north, west, north-east, nowhere; lengths must not matter."""


def diversity(*lists: list[int], vector: np.ndarray = PLANE) -> list[float]:
    item = np.array([x for one in lists for x in one], np.int64)
    owner = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return intra_list_diversity(item, owner, len(lists), vector).tolist()


def test_sums_and_means_by_hand() -> None:
    value, owner = np.array([1.0, 2.0, np.nan, 5.0]), np.array([0, 0, 2, 2])
    assert per_user_sum(np.array([True, False, True, True]), owner, 4).tolist() == [1, 0, 2, 0]
    np.testing.assert_array_equal(per_user_mean(value, owner, 3), [1.5, np.nan, 5])
    np.testing.assert_array_equal(ratio(np.array([1.0, 1.0]), np.array([4.0, 0.0])), [0.25, np.nan])


def test_diversity_by_hand() -> None:
    assert diversity([0, 0, 0]) == [0]
    assert diversity([0, 1]) == [1]
    assert diversity([0, 2]) == [2]
    assert diversity([0, 1, 2]) == pytest.approx([(1 + 2 + 1) / 3])
    assert diversity([0, 3]) == pytest.approx([1 - np.sqrt(0.5)])
    assert diversity([4, 4, 0]) == [1], "a vector without a direction is related to nothing"


def test_diversity_never_compares_items_of_two_users() -> None:
    assert diversity([0, 0], [2, 2]) == [0, 0]
    np.testing.assert_array_equal(diversity([0], [2, 0], []), [np.nan, 2, np.nan])


def test_diversity_looks_at_twenty_items_at_a_time() -> None:
    """East, 19 times north: all 20 stand together. One more north pushes east out of the window."""
    east_north = 19 / (20 * 19 / 2)
    assert diversity([0, *[1] * 19]) == pytest.approx([east_north])
    pairs = 20 * 19 / 2 + 19
    assert diversity([0, *[1] * 20]) == pytest.approx([19 / pairs]), "the pair 20 apart is not counted"


def test_diversity_equals_the_slow_way_and_does_not_depend_on_neighbours() -> None:
    rng = np.random.default_rng(0)
    vector = rng.normal(size=(50, 6)).astype(np.float32)
    lists = [rng.integers(50, size=n).tolist() for n in (2, 60, 1, 7, 33)]
    unit = vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64), axis=1, keepdims=True)
    slow = [
        np.mean([1 - unit[a] @ unit[b] for i, a in enumerate(one) for b in one[max(0, i - 19) : i]] or [np.nan])
        for one in lists
    ]
    together = diversity(*lists, vector=vector)
    np.testing.assert_allclose(together, slow, rtol=1e-12)
    np.testing.assert_array_equal(together, [diversity(one, vector=vector)[0] for one in lists])


def test_novelty_by_hand() -> None:
    item, owner = np.array([0, 1, 2, 0]), np.array([0, 0, 1, 3])
    bits = novelty_bits(item, owner, 4, np.array([4.0, 2.0, 1.0, 1.0]))
    np.testing.assert_array_equal(bits, [1.5, 3, np.nan, 1])


def test_novelty_under_equal_popularity_is_the_logarithm_of_the_size() -> None:
    assert novelty_bits(np.arange(8), np.zeros(8, np.int64), 1, np.full(8, 0.3)).tolist() == pytest.approx([3])


@pytest.mark.parametrize(
    ("popularity", "kind", "message"),
    [
        (np.ones(3), WrongShape, r"\(3,\).*\(4,\)"),
        (np.array(["a"] * 4), WrongShape, "type <U1"),
        (np.array([1.0, 0.0, 0.0, 2.0]), WrongSetting, r"popularity\[1\] is 0.0 \(2 of 4.*counts \+ 1"),
        (np.array([1.0, np.nan, 1.0, 2.0]), WrongSetting, r"popularity\[1\] is nan"),
    ],
)
def test_wrong_popularity_is_refused(popularity: np.ndarray, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        checked_popularity(popularity, 4)


def test_coverage_and_gini_by_hand() -> None:
    assert coverage(np.array([3, 0, 1, 0])) == 0.5
    assert gini(np.full(7, 3)) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 9])) == pytest.approx(3 / 4)
    assert gini(np.array([1, 3])) == pytest.approx(1 / 4), "half the mean difference (1) over the mean (2)"
    assert np.isnan(gini(np.zeros(4)))


def test_gini_equals_its_definition() -> None:
    x = np.random.default_rng(1).integers(0, 30, 25)
    assert gini(x) == pytest.approx(np.abs(x[:, None] - x[None, :]).mean() / 2 / x.mean())


def test_rows_in_disorder_are_refused() -> None:
    with pytest.raises(WrongShape, match="row 1: owner falls from 1 to 0"):
        intra_list_diversity(np.array([0, 1]), np.array([1, 0]), 2, PLANE)
