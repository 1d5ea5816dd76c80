from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recgym.errors import WrongSetting, WrongShape
from recgym.statistics import (
    Interval,
    improvement_interval,
    interquartile_mean,
    interval,
    paired_difference,
    probability_of_improvement,
)


def test_interval_of_a_normal_mean_is_the_analytic_one() -> None:
    values = np.random.default_rng(0).normal(10, 3, (1, 4000))
    got = interval(values, resamples=4000)
    error = values.std() / np.sqrt(values.size)
    assert got.mean == pytest.approx(values.mean())
    assert got.low == pytest.approx(values.mean() - 1.96 * error, abs=0.08 * error)
    assert got.high == pytest.approx(values.mean() + 1.96 * error, abs=0.08 * error)


def test_level_sets_the_width() -> None:
    values = np.random.default_rng(1).normal(size=(1, 3000))
    error = values.std() / np.sqrt(values.size)
    narrow = interval(values, level=0.5, resamples=4000)
    assert (narrow.high - narrow.low) / error == pytest.approx(2 * stats.norm.ppf(0.75), rel=0.08)


def test_seeds_and_users_both_contribute_their_variance() -> None:
    """values = seed effect + user effect: the bootstrap variance is var(seeds) / S + var(users) / U exactly."""
    rng = np.random.default_rng(2)
    of_seed, of_user = rng.normal(0, 1, 8), rng.normal(0, 5, 500)
    got = interval(of_seed[:, None] + of_user[None, :], resamples=6000)
    error = np.sqrt(of_seed.var() / 8 + of_user.var() / 500)
    assert (got.high - got.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.05)


def test_the_same_user_under_more_seeds_is_not_more_users() -> None:
    values = np.random.default_rng(3).normal(size=(1, 400))
    one, five = interval(values), interval(np.repeat(values, 5, axis=0))
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(300):
        got = interval(rng.exponential(2.0, (1, 150)), level=0.9, resamples=400, seed=trial)
        hits += got.low <= 2.0 <= got.high
    assert 0.84 < hits / 300 < 0.95


def test_a_constant_has_no_spread_and_one_number_is_its_own_interval() -> None:
    assert interval(np.full((3, 7), 2.5)) == Interval(2.5, 2.5, 2.5)
    assert interval(np.array([[4.0]])) == Interval(4, 4, 4)
    assert interval(np.array([[True, True]])) == Interval(1, 1, 1)


def test_the_seed_decides_and_the_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).normal(size=(1, 60))
    first = interval(values, seed=1)
    assert interval(values, seed=1) == first
    assert interval(values, seed=2) != first
    monkeypatch.setattr("recgym.statistics._CELLS", 60 * 7)
    split = interval(values, seed=1, resamples=2000)
    assert split.mean == first.mean
    assert split.high - split.low == pytest.approx(first.high - first.low, rel=0.1)


def test_users_without_a_number_are_left_out() -> None:
    values = np.random.default_rng(6).normal(size=(2, 50))
    gaps = np.insert(values, 25, np.nan, axis=1)
    assert interval(gaps).mean == pytest.approx(values.mean())
    nobody = interval(np.full((2, 3), np.nan))
    assert np.isnan(nobody).all()
    almost = interval(np.array([[1.0, np.nan, np.nan, np.nan]]))
    assert almost == Interval(1, 1, 1), "resamples that drew only gaps say nothing"


def test_other_statistics_are_drawn_too() -> None:
    values = np.random.default_rng(7).normal(3, 1, (2, 300))
    plain, slow = interval(values, resamples=500), interval(values, resamples=500, statistic=lambda x: float(x.mean()))
    assert slow.mean == pytest.approx(plain.mean)
    assert slow.high - slow.low == pytest.approx(plain.high - plain.low, rel=0.15)
    middle = interval(values, resamples=300, statistic=interquartile_mean)
    assert middle.low < middle.mean == interquartile_mean(values) < middle.high


def test_pairing_removes_what_the_users_share() -> None:
    rng = np.random.default_rng(8)
    b = rng.normal(0, 100, (1, 500))
    a = b + 1 + rng.normal(0, 0.1, (1, 500))
    got = paired_difference(a, b)
    assert got.mean == pytest.approx((a - b).mean())
    assert 0.98 < got.low < got.high < 1.02
    assert paired_difference(a, a) == Interval(0, 0, 0)


def test_an_untrained_policy_is_compared_with_every_seed() -> None:
    a, b = np.arange(6.0).reshape(3, 2), np.array([[1.0, 1.0]])
    assert paired_difference(a, b).mean == 1.5
    assert paired_difference(b, a).mean == -1.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4], 2.5),  # one is left out at each end
        ([100, 2, 3, -50], 2.5),
        ([5, 1, 2, 3, 4, 6, 7, 1000], 4.5),  # two at each end
        ([1, 2, 9], 4),  # floor(3 / 4) = 0 are left out
        ([1, 2, 3, 4, np.nan], 2.5),
        ([7], 7),
    ],
)
def test_interquartile_mean_by_hand(values: list[float], expected: float) -> None:
    assert interquartile_mean(np.array(values, np.float64)) == pytest.approx(expected)


def test_interquartile_mean_is_scipys_trimmed_mean_as_in_rliable() -> None:
    values = np.random.default_rng(9).standard_cauchy((5, 13))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=None))
    assert np.isnan(interquartile_mean(np.array([np.nan])))


def test_probability_of_improvement_by_hand() -> None:
    """User 0: pairs (1,0) (1,2) (3,0) (3,2), three of four won. User 1: two ties, two lost, a quarter."""
    a, b = np.array([[1.0, 5.0], [3.0, 0.0]]), np.array([[0.0, 5.0], [2.0, 5.0]])
    assert probability_of_improvement(a, b) == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert probability_of_improvement(b, a) == pytest.approx(1 / 2)
    assert probability_of_improvement(a, a + 10) == 0
    assert probability_of_improvement(a, a[:1]) == pytest.approx((0.75 + 0.25) / 2)


def test_probability_of_improvement_is_the_mann_whitney_statistic() -> None:
    rng = np.random.default_rng(10)
    a, b = rng.integers(0, 5, (6, 9)).astype(float), rng.integers(0, 5, (4, 9)).astype(float)
    u = [stats.mannwhitneyu(a[:, j], b[:, j]).statistic / 24 for j in range(9)]
    assert probability_of_improvement(a, b) == pytest.approx(np.mean(u))


def test_probability_of_improvement_of_two_normals() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.normal(1, 1, (4, 4000)), rng.normal(0, 1, (4, 4000))
    got = improvement_interval(a, b, resamples=300)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    assert got.mean == pytest.approx(truth, abs=0.01)
    assert got.low < truth < got.high
    assert got.mean == pytest.approx(probability_of_improvement(a, b))


def test_users_missing_in_one_are_left_out_of_the_comparison() -> None:
    a, b = np.array([[1.0, np.nan, 1.0]]), np.array([[0.0, 0.0, np.nan]])
    assert probability_of_improvement(a, b) == 1
    assert improvement_interval(a, b) == Interval(1, 1, 1)
    assert np.isnan(probability_of_improvement(a * np.nan, b))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: interval(np.ones(3)), WrongShape, r"\(3,\).*array\[None\]"),
        (lambda: interval(np.ones((0, 3))), WrongShape, r"\(0, 3\)"),
        (lambda: interval(np.array([["a"]])), WrongShape, "type <U1"),
        (lambda: interval(np.array([[1.0, np.inf]])), WrongShape, r"values\[0, 1\] is inf"),
        (lambda: interval(np.ones((1, 2)), level=95), WrongSetting, "level is 95.*0.95"),
        (lambda: interval(np.ones((1, 2)), resamples=0), WrongSetting, "resamples is 0"),
        (lambda: paired_difference(np.ones((2, 3)), np.ones((2, 4))), WrongShape, "the same users"),
        (lambda: paired_difference(np.ones((2, 3)), np.ones((3, 3))), WrongShape, "same number of seeds"),
        (lambda: probability_of_improvement(np.ones((2, 3)), np.ones((2, 4))), WrongShape, "a has 3 users, b 4"),
        (lambda: improvement_interval(np.ones((2, 3)), np.ones((2, 3)), level=0), WrongSetting, "level"),
    ],
)
def test_wrong_arguments_are_refused(call: object, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()  # type: ignore[operator]
