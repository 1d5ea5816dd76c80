"""The synthetic catalogue and people against the published numbers they are made from (datasets note, section 2)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recgym.errors import WrongSetting
from recgym.users.calibrated import TRAITS
from recgym.users.synthetic import N_TAGS, synthetic_catalog, synthetic_population


def test_durations_follow_the_published_quantiles() -> None:
    for n, seed in ((7583, 0), (7583, 4), (100_000, 1)):
        duration = synthetic_catalog(n, seed=seed).duration_s
        found = np.quantile(duration, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
        np.testing.assert_allclose(found, [10.7, 31.9, 81.2, 148.2, 303.5, 510.0], rtol=0.01)
        assert 5 <= duration.min() < duration.max() <= 1177.01


def test_tags_have_the_published_shares() -> None:
    catalog = synthetic_catalog(100_000)
    share = np.bincount(catalog.tag[catalog.tag >= 0], minlength=N_TAGS) / len(catalog)
    np.testing.assert_allclose(share[:5], np.array([1446, 732, 675, 606, 489]) / 7583, rtol=0.05)
    assert (share > 0).all()
    assert len(share) == N_TAGS == catalog.n_tags
    assert (catalog.tag == -1).mean() == pytest.approx(0.013, rel=0.1)
    assert (np.diff(share[5:]) < 0.003).all(), "falling as 1 / rank"


def test_tags_of_one_item_differ_and_are_packed() -> None:
    tags = synthetic_catalog(20_000).tags
    assert tags.dtype == np.int16
    for row in np.unique(tags, axis=0).tolist():
        known = [tag for tag in row if tag >= 0]
        assert row[: len(known)] == known
        assert len(set(known)) == len(known)


def test_tags_per_item_are_as_published() -> None:
    count = (synthetic_catalog(100_000).tags >= 0).sum(axis=1)
    assert (count == 2).mean() == pytest.approx(0.235, rel=0.05)
    assert (count == 3).mean() == pytest.approx(0.004, rel=0.2)


def test_contents_are_unit_rows_with_the_documented_shares() -> None:
    catalog = synthetic_catalog(20_000)
    content = catalog.vector[:, :16]
    for vector in (content, catalog.appeal_vector):
        assert vector.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1, rtol=1e-5)
    known = (content * catalog.appeal_vector).sum(axis=1)
    assert (known**2).mean() == pytest.approx(0.8, abs=0.06), "the platform knows 80 % of the squared length"
    same = [catalog.appeal_vector[catalog.tag == tag][:2] for tag in range(N_TAGS)]
    cosine = np.mean([one @ other for one, other in same])
    assert cosine == pytest.approx(0.5, abs=0.12), "two videos of a tag share half of the squared length"


@pytest.mark.parametrize("dimension", [4, 16])
def test_the_platform_also_knows_the_duration_and_half_of_the_appeal(dimension: int) -> None:
    """The two last coordinates: each of spread 0.35; the noise of the second is new, and unknown of other appeals."""
    catalog = synthetic_catalog(20_000, dimension)
    assert catalog.vector.shape == (20_000, dimension + 2)
    assert catalog.vector.dtype == np.float32
    assert catalog.appeal_vector.shape == (20_000, dimension)
    log_duration = np.log(catalog.duration_s.astype(float))
    exact = 0.35 * (log_duration - log_duration.mean()) / log_duration.std()
    np.testing.assert_allclose(catalog.vector[:, -2], exact, atol=1e-4)
    known = catalog.vector[:, -1].astype(float)
    assert known.std() == pytest.approx(0.35, rel=0.02)
    noise = known / (0.35 * np.sqrt(0.5)) - catalog.appeal[:, 0]
    assert noise.mean() == pytest.approx(0, abs=4 / np.sqrt(20_000))
    assert noise.std() == pytest.approx(1, rel=0.02)
    others = np.column_stack([catalog.appeal, catalog.appeal_vector, exact])
    correlation = np.corrcoef(noise, others, rowvar=False)[0, 1:]
    assert (np.abs(correlation) < 4.5 / np.sqrt(20_000)).all(), "the noise tells nothing of anything else"


def test_appeal_is_exactly_standard() -> None:
    appeal = synthetic_catalog().appeal
    np.testing.assert_allclose(appeal.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(appeal.std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(np.corrcoef(appeal.T), np.eye(6), atol=0.05)


def test_traits_are_exactly_normal_and_correlated_as_published() -> None:
    people = synthetic_population()
    for column in people.trait.T:
        exact = stats.norm.ppf((np.arange(27_000) + 0.5) / 27_000)
        np.testing.assert_allclose(np.sort(column), exact, atol=1e-5)
    found = np.corrcoef(people.trait.T)
    published = {("watch", "like"): 0.18, ("watch", "comment"): 0.20, ("like", "follow"): 0.32,
                 ("like", "forward"): 0.24, ("like", "comment"): 0.21, ("watch", "hate"): 0.0}  # fmt: skip
    for (a, b), value in published.items():
        assert found[TRAITS.index(a), TRAITS.index(b)] == pytest.approx(value, abs=0.06), (a, b)
    np.testing.assert_allclose(people.taste.std(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(people.taste.mean(axis=0), 0, atol=0.03)


def test_profiles_and_habits() -> None:
    people = synthetic_population()
    activity = people.profile[:, :4]
    assert (activity.sum(axis=1) == 1).all()
    np.testing.assert_allclose(activity.mean(axis=0), [0.659, 0.226, 0.078, 0.037], atol=0.01)
    np.testing.assert_allclose(np.median(np.expm1(10 * people.profile[:, 6:9]), axis=0), [155, 48, 16], rtol=0.1)
    assert np.median(people.profile[:, 9]) * 3650 == pytest.approx(1188, rel=0.05)
    assert people.patience.mean() == pytest.approx(1, abs=1e-3)
    assert (people.patience > 0).all()
    assert (people.return_rate > 0).all()
    watch = [people.trait[activity[:, a] == 1, 0].mean() for a in range(4)]
    assert watch == sorted(watch), "less active people watch more, as published"


@pytest.mark.parametrize("n", [1, 2, 5])
def test_tiny_worlds_are_possible(n: int) -> None:
    catalog, people = synthetic_catalog(n, 4), synthetic_population(n, 4)
    assert len(catalog) == len(people) == n
    assert np.isfinite(people.trait).all()
    assert np.isfinite(catalog.appeal).all()


def test_the_seed_decides_and_the_call_is_remembered() -> None:
    one, other = synthetic_catalog(50, seed=1), synthetic_catalog(50, seed=2)
    assert (one.vector != other.vector).any()
    assert synthetic_catalog(50, seed=1) is one
    assert (synthetic_population(50, seed=1).taste != synthetic_population(50, seed=2).taste).any()


def test_wrong_sizes_are_refused() -> None:
    for n, dimension in ((0, 16), (-1, 16), (10, 6), (10, 0), (10, -4)):
        for make in (synthetic_catalog, synthetic_population):
            with pytest.raises(WrongSetting, match=rf"={n}, dimension={dimension}: at least 1"):
                make(n, dimension)
