"""Fitting: known parameters come back, quantiles and rates are the log's, draws and means differ as they should."""

from __future__ import annotations

import json
import os
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from fitted_worlds import (
    N_ITEMS,
    N_USERS,
    QUICK,
    SHARES,
    answered,
    as_dataset,
    exposures,
    known_catalog,
    known_dataset,
    known_users,
    refitted,
)
from scipy.special import ndtri

from recgym.errors import BadData, WrongSetting
from recgym.fidelity import fidelity, fitted_fidelity
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.replay import replay, schedule
from recgym.users.calibrated import EXPLICIT, CalibratedUsers, Population
from recgym.users.feedback_model import FeedbackRows, fit_feedback
from recgym.users.fit_settings import FitSettings
from recgym.users.fitted import Posterior, aligned, load_fitted, save_fitted
from recgym.users.fitting import fit
from recgym.users.mixed_model import ScoreRows, Variances, fit_score
from recgym.users.prediction import Moods, lull, predict
from recgym.users.watch_table import PUBLISHED_END_S, bucket_ends, normal_scores, ratio_table, score_limits

REAL = Path(os.environ.get("RECGYM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "kuairand_pure"


# ------------------------------------------------------------------------------------------------ watch table


def test_normal_scores_are_quantiles_of_mid_ranks_and_ties_share_them() -> None:
    ratio, bucket = np.array([0.2, 0.1, 0.1, 0.9, 5.0]), np.array([0, 0, 0, 0, 1])
    expected = ndtri(np.array([2.5, 1.0, 1.0, 3.5]) / 4)
    np.testing.assert_allclose(normal_scores(ratio, bucket), [*expected, 0.0], atol=1e-12)


def test_buckets_are_parts_of_the_published_ones() -> None:
    duration = np.random.default_rng(0).lognormal(4, 1, 50_000)
    ends = bucket_ends(duration, 26, 400)
    assert set(PUBLISHED_END_S) <= set(ends)
    assert 20 <= len(ends) + 1 <= 32
    assert np.bincount(np.searchsorted(ends, duration.astype(np.float32), side="left")).min() >= 400


def test_small_buckets_are_joined_until_all_are_large_enough() -> None:
    assert len(bucket_ends(np.full(1000, 12.0), 26, 400)) == 0
    ends = bucket_ends(np.concatenate([np.full(395, 5.0), np.full(3000, 12.0), np.full(900, 7200.0)]), 3, 400)
    assert np.bincount(np.searchsorted(ends, np.float32([5.0, 12.0, 7200.0]), side="left")).tolist() == [2, 1]


def test_the_table_gives_each_score_the_ratio_of_its_rank() -> None:
    score = np.random.default_rng(0).normal(size=20_000)
    ratio = np.exp(score)
    grid = np.linspace(-2, 2, 101)
    table = ratio_table(score, np.zeros(20_000, int), ratio, np.zeros(20_000, int), grid, 1)
    np.testing.assert_allclose(table[0], np.exp(grid), rtol=0.02)


def test_a_row_lies_between_the_scores_where_its_class_begins_and_ends() -> None:
    duration = np.full(8, 40.0)
    ratio = np.array([1, 3, 6, 8, 12, 20, 30, 41.0]) / 40
    low, high = score_limits(ratio, np.zeros(8, int), duration)
    click, long, complete = ndtri(3 / 8), ndtri(5 / 8), ndtri(7 / 8)
    np.testing.assert_allclose(low, [-np.inf] * 3 + [click] * 2 + [long] * 2 + [complete])
    np.testing.assert_allclose(high, [click] * 3 + [long] * 2 + [complete] * 2 + [np.inf])


def test_where_no_class_splits_a_bucket_its_median_does() -> None:
    ratio = np.linspace(0.3, 0.9, 100)
    low, high = score_limits(ratio, np.zeros(100, int), np.full(100, 5400.0))
    assert (low[50:] == 0).all()
    assert (high[:50] == 0).all()


# ------------------------------------------------------------------------------------------------ models


def test_the_mixed_model_finds_variances_that_made_the_scores() -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(3000), 12), rng.integers(400, size=36_000)
    content = rng.standard_normal((400, 8))
    content *= np.sqrt(8) / np.linalg.norm(content, axis=1, keepdims=True)
    profile = np.column_stack([np.ones(3000), rng.standard_normal(3000)])
    own = profile @ [0.2, 0.3] + 0.5 * rng.standard_normal(3000)
    taste = 0.4 / np.sqrt(8) * rng.standard_normal((3000, 8))
    appeal = 0.3 * rng.standard_normal(400)
    score = own[user] + np.einsum("rc,rc->r", taste[user], content[item]) + appeal[item]
    score += 0.7 * rng.standard_normal(36_000)
    cuts = np.array([-np.inf, -0.5, 0.3, 1.0, np.inf])
    place = np.searchsorted(cuts, score) - 1
    rows = ScoreRows(cuts[place], cuts[place + 1], user, item, content, profile)
    found = fit_score(
        rows, Variances(0.1, 0.05, 0.05, 0.8), 120, 50, np.random.default_rng(1), lambda stage, share: None
    )
    np.testing.assert_allclose(found.variances, [0.25, 0.16, 0.09, 0.49], rtol=0.15)
    np.testing.assert_allclose(found.coefficient, [0.2, 0.3], atol=0.06)
    error = (found.user_mean[:, 0] - own) ** 2
    assert np.mean(error / found.user_covariance[:, 0]) == pytest.approx(1, abs=0.12)
    assert np.mean((found.item_mean - appeal) ** 2 / found.item_variance) == pytest.approx(1, abs=0.3)
    assert found.user[:, 0].var() == pytest.approx(own.var(), rel=0.05), "a draw varies as people do"
    assert found.user_mean[:, 0].var() < 0.92 * own.var(), "a mean varies less"


def test_a_fixed_taste_stays_fixed() -> None:
    rng = np.random.default_rng(0)
    score = rng.standard_normal(2000)
    rows = ScoreRows(score - 0.1, score + 0.1, np.arange(2000) % 200, np.arange(2000) % 50,
                     np.ones((50, 4)), np.ones((200, 1)))  # fmt: skip
    found = fit_score(rows, Variances(0.1, 0.09, 0.05, 0.8), 12, 6, rng, lambda stage, share: None, taste=0.3)
    assert found.variances.taste == pytest.approx(0.09)


def test_the_feedback_model_finds_weights_and_scales_of_a_rare_feedback() -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(8000), 6), rng.integers(500, size=48_000)
    feature = np.column_stack([np.eye(2)[rng.integers(2, size=48_000)], rng.standard_normal(48_000)])
    z_user, z_item = rng.standard_normal(8000), rng.standard_normal(500)
    logit = feature @ [-5.5, -4.0, 0.6] + 1.8 * z_user[user] + 0.8 * z_item[item]
    given = rng.random(48_000) < 1 / (1 + np.exp(-logit))
    prior = np.array([-4, -4, 0, 1.2, 0.5]), np.array([3, 3, 1, 1, 1.0])
    rows = FeedbackRows(given, user, item, feature, *prior, 8000, 500)
    found = fit_feedback(rows, 90, 30, np.random.default_rng(1))
    np.testing.assert_allclose(found.weight, [-5.5, -4.0, 0.6], atol=0.25)
    assert found.user_scale == pytest.approx(1.8, abs=0.25)
    assert found.item_scale == pytest.approx(0.8, abs=0.2)
    assert np.mean((found.user_mean - z_user) ** 2) == pytest.approx(found.user_variance.mean(), rel=0.06)
    assert found.user.var() == pytest.approx(1, abs=0.1)


# ------------------------------------------------------------------------------------------------ fit


def test_known_variance_shares_come_back() -> None:
    """Within 20 %: the score is seen through four classes of watching, 20 times a person."""
    found = refitted().facts["estimates"]["variance"]
    total = sum(found.values())
    for name, share in SHARES.items():
        assert found[name] / total == pytest.approx(share / sum(SHARES.values()), rel=0.2), name


def test_replays_of_the_fitted_world_have_the_quantiles_and_rates_of_the_log() -> None:
    report = fitted_fidelity(refitted(), known_dataset(), resamples=100)
    for part in ("rate", "watch time, s", "completion"):
        assert len(report.part(part)) >= 8
        assert not [line for line in report.part(part) if line.within is False and not line.inside]


def test_people_are_as_different_as_the_log_says_and_not_as_alike_as_estimates() -> None:
    report = fitted_fidelity(refitted(), known_dataset(), resamples=20)
    for part in ("users alike", "items alike"):
        for line in report.part(part):
            assert line.within is not False, line
    known, world = refitted().posterior, refitted()
    drawn = world.users.population.trait[:, 0] * world.users.parameters.watch_value("user")
    assert drawn.var() > 1.1 * known.user_mean[:, 0].var()


def test_probabilities_of_new_rows_are_calibrated() -> None:
    users, catalog = known_users(), known_catalog()
    log = answered(exposures(6, seed=9), users, catalog, episode=5)
    report = fitted_fidelity(refitted(), as_dataset(log, users, catalog), resamples=20)
    for line in report.part("calibration error"):
        assert line.simulated is not None
        assert line.simulated < 0.02, line
    own = fidelity(users, catalog, log, resamples=20)
    for fitted, true in zip(report.part("AUC")[:3], own.part("AUC")[:3], strict=True):
        assert 0 < true.simulated - fitted.simulated < 0.06 or fitted.name != true.name  # type: ignore[operator]


def test_without_uncertainty_predictions_are_the_users_own_probabilities() -> None:
    users, catalog = known_users(), known_catalog()
    parameters = users.parameters.replace(
        watch=np.where(np.arange(8) == 7, 0, users.parameters.watch).astype(np.float32)
    )
    users = CalibratedUsers(users.population, parameters)
    log = exposures(3, seed=3)
    d = catalog.appeal_vector.shape[1]
    state = users.start(np.arange(N_USERS), None)  # type: ignore[arg-type]
    certain = Posterior(
        user_mean=np.column_stack([state.trait[:, 0], state.taste]), seen=np.arange(N_USERS),
        user_covariance=np.zeros((N_USERS, (1 + d) * (2 + d) // 2)), logit_mean=state.trait[:, 1:],
        logit_variance=np.zeros((N_USERS, 5)), item_variance=np.zeros((N_ITEMS, 6)),
        item_mean=catalog.appeal * np.concatenate([parameters.watch[2:3], parameters.appeal_scale]),
        coefficient=np.zeros((11, 6)), profile_mean=np.zeros(10), profile_sd=np.ones(10), prior_sd=np.ones(13),
    )  # fmt: skip
    world = replace(refitted(), users=users, catalog=catalog, posterior=certain)

    def chances(state, rows, item, noise):  # type: ignore[no-untyped-def]
        return users.expect(state, item, catalog).probability[:, 0]

    true = replay(users, catalog, log, 0, probe=chances).probed
    predicted = predict(world, log)
    for f, name in enumerate(users.feedback):
        np.testing.assert_allclose(predicted[name], true[:, f], atol=2e-5, err_msg=name)


def test_lulls_are_those_of_the_kernels() -> None:
    """Score with moods minus score without, same luck; scores are read through a table that is a straight line."""
    catalog, log = known_catalog(), exposures(25, seed=1, n_users=60)
    base = known_users().parameters
    ramp = np.tile(np.float32([0, 40]), (len(base.bucket_end_s) + 1, 1))
    watch = base.watch.copy()
    watch[[5, 6, 7]] = 0.8, 0.9, 0
    moody = base.replace(ratio=ramp, score=np.float32([-20, 20]), watch=watch)
    calm = moody.replace(watch=np.where(np.arange(8) < 5, watch, 0).astype(np.float32), repeat=np.zeros(1, np.float32))
    seen = [replay(CalibratedUsers(known_users().population, p), catalog, log, 2).watch_time_s for p in (calm, moody)]
    item = log.array("item").astype(np.int64)
    lost = lull(schedule(log), item, catalog.tag[item].astype(np.int64), Moods.of(moody))
    np.testing.assert_allclose((seen[0] - seen[1]) / catalog.duration_s[item], lost, atol=1e-4)
    assert (lost > 0.6).any(), "an item came twice"


def test_same_seed_same_world_other_seed_other_people() -> None:
    dataset = as_dataset(answered(exposures(3, 4), known_users(), known_catalog()), known_users(), known_catalog())
    quick = replace(QUICK, sweeps=6, burn_in=2, feedback_sweeps=3, rounds=1, replays=1)
    a, b, c = (fit(dataset, replace(quick, seed=seed)) for seed in (0, 0, 1))
    for f in fields(Population):
        np.testing.assert_array_equal(getattr(a.users.population, f.name), getattr(b.users.population, f.name))
    assert (a.users.population.trait != c.users.population.trait).any()
    assert a.facts == b.facts


def test_a_feedback_that_the_log_lacks_is_never_given_and_one_of_its_own_is_left_out() -> None:
    log = known_dataset().log
    table = log.table.drop("hate").rename({"comment": "gift"})
    names = tuple({"comment": "gift"}.get(name, name) for name in log.feedback if name != "hate")
    quick = replace(QUICK, sweeps=8, burn_in=2, feedback_sweeps=6, rounds=1, replays=1)
    world = fit(known_dataset()._replace(log=InteractionLog(table, names)), quick)
    played = replay(world.users, world.catalog, log, 0)
    assert not played.feedback[:, [2 + EXPLICIT.index("hate"), 2 + EXPLICIT.index("comment")]].any()
    assert played.feedback[:, 2].any()
    assert any("does not have comment, hate" in note for note in world.notes)
    assert any("gift has no counterpart" in note for note in world.notes)


def test_progress_is_told_in_stages_that_end() -> None:
    told: list[tuple[str, float]] = []
    quick = replace(QUICK, sweeps=4, burn_in=1, feedback_sweeps=3, rounds=2, replays=1)
    fit(known_dataset(), quick, lambda stage, share: told.append((stage, share)))
    assert [stage for stage, share in told if share == 1] == ["watch model", "feedbacks", "matching"]


def test_wrong_settings_and_data_are_refused_with_words() -> None:
    with pytest.raises(WrongSetting, match=r"FitSettings.sweeps is 5; at least 12 is needed"):
        FitSettings(sweeps=5, burn_in=10)
    with pytest.raises(WrongSetting, match=r"FitSettings.drift is 2"):
        FitSettings(drift=2)
    with pytest.raises(WrongSetting, match=r"FitSettings.taste is nan"):
        FitSettings(taste=float("nan"))
    few = known_dataset().log.where(np.arange(len(known_dataset().log)) < 150)
    with pytest.raises(BadData, match="150 rows with a known duration; a fit needs at least 200"):
        fit(known_dataset()._replace(log=few))


# ------------------------------------------------------------------------------------------------ folder


def test_a_saved_world_is_read_back_as_it_was(tmp_path: Path) -> None:
    world = refitted()
    save_fitted(world, tmp_path)
    read = load_fitted(tmp_path)
    for part in ("users", "catalog", "posterior"):
        for f in fields({"users": world.users.population}.get(part) or getattr(world, part)):
            a, b = (getattr(w.users.population if part == "users" else getattr(w, part), f.name) for w in (world, read))
            np.testing.assert_array_equal(a, b, err_msg=f.name)
    assert read.facts == json.loads(json.dumps(world.facts))
    assert read.notes == world.notes
    log = exposures(2, 0)
    for name, column in predict(world, log).items():
        np.testing.assert_array_equal(column, predict(read, log)[name])


@pytest.mark.parametrize(
    "name", ["fitted.json", "population.npz", "parameters.npz", "catalog.npz", "fitted_posterior.npz"]
)
def test_a_folder_that_lacks_a_file_or_has_a_damaged_one_is_refused(tmp_path: Path, name: str) -> None:
    save_fitted(refitted(), tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match=name):
        load_fitted(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(BadData, match=name):
        load_fitted(tmp_path)


def test_files_of_two_fits_are_refused(tmp_path: Path) -> None:
    save_fitted(refitted(), tmp_path)
    small = refitted().posterior
    save_fitted(replace(refitted(), posterior=replace(small, user_mean=small.user_mean[:-1])), tmp_path / "other")
    (tmp_path / "other" / "fitted_posterior.npz").replace(tmp_path / "fitted_posterior.npz")
    with pytest.raises(BadData, match="user_mean has 2499 rows; the world has 2500"):
        load_fitted(tmp_path)


def test_a_folder_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    save_fitted(refitted(), tmp_path)
    (tmp_path / "fitted.json").write_text('{"format": 99, "facts": {}, "notes": []}')
    with pytest.raises(BadData, match=r"format 99; this RecGym reads format 1"):
        load_fitted(tmp_path)


# ------------------------------------------------------------------------------------------------ other logs


def reordered(dataset: Dataset, keep_users: np.ndarray, keep_items: np.ndarray) -> Dataset:
    """The data set with its users and items in another order, and only some of them."""
    log, c = dataset.log, dataset.catalog
    to_user, to_item = (np.full(n, -1) for n in (len(dataset.profile), len(c)))
    to_user[keep_users], to_item[keep_items] = np.arange(len(keep_users)), np.arange(len(keep_items))
    user, item = to_user[log.array("user")], to_item[log.array("item")]
    rows = (user >= 0) & (item >= 0)
    table = log.table.with_columns(user=user, item=item.astype(np.int32)).filter(rows)
    catalog = replace(c, **{f.name: getattr(c, f.name)[keep_items] for f in fields(c)})
    new_log = InteractionLog(table, log.feedback)
    profile, user_outside_id = dataset.profile[keep_users], dataset.user_outside_id[keep_users]
    return dataset._replace(log=new_log, catalog=catalog, profile=profile, user_outside_id=user_outside_id)


def test_a_log_in_another_order_is_counted_in_the_worlds_rows() -> None:
    rng = np.random.default_rng(0)
    dataset, world = known_dataset(), refitted()
    shuffled = reordered(dataset, rng.permutation(N_USERS), rng.permutation(N_ITEMS))
    same, log, notes = aligned(world, shuffled)
    assert same is world
    np.testing.assert_array_equal(log.array("user"), dataset.log.array("user"))
    np.testing.assert_array_equal(log.array("item"), dataset.log.array("item"))
    assert notes == ("all users of the log are known to the world.", "all items of the log are known to the world.")


def test_unknown_people_and_items_are_added_as_prior_draws_and_counted() -> None:
    dataset = known_dataset()
    part = reordered(dataset, np.arange(500, N_USERS), np.arange(50, N_ITEMS))
    world = fit(part, replace(QUICK, sweeps=40, burn_in=20, feedback_sweeps=6, rounds=2, replays=1))
    wider, log, notes = aligned(world, dataset)
    assert (wider.users.n_users, len(wider.catalog)) == (N_USERS, N_ITEMS)
    assert notes[0].startswith("500 users of the log (10000 of 50000 rows) are unknown")
    assert notes[1].startswith("50 items of the log (")
    np.testing.assert_array_equal(wider.users.population.outside_id[log.array("user")],
                                  dataset.user_outside_id[dataset.log.array("user")])  # fmt: skip
    np.testing.assert_array_equal(wider.catalog.duration_s[log.array("item")],
                                  dataset.catalog.duration_s[dataset.log.array("item")])  # fmt: skip
    report = fitted_fidelity(world, dataset, resamples=20)
    assert {line.name: line.within for line in report.part("rate")}["click"]
    assert any(note.startswith("500 users") for note in report.notes)


def test_a_data_set_with_other_profile_columns_is_refused() -> None:
    with pytest.raises(BadData, match="Load it with the same settings"):
        aligned(refitted(), known_dataset()._replace(profile_names=tuple("abcdefghij")))


# ------------------------------------------------------------------------------------------------ real data


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="KuaiRand-Pure is not here")
def test_real_rows_of_a_week_and_of_the_three_days_after_it() -> None:
    """What holds on 2 to 4 May after a fit on 25 April to 1 May; what does not is in the fidelity report."""
    from recgym.loaders.kuairand import Settings, load

    week, later = (load(REAL, Settings(first_date=first, last_date=last))
                   for first, last in ((20220425, 20220501), (20220502, 20220504)))  # fmt: skip
    begin = time.process_time()
    world = fit(week)
    assert time.process_time() - begin < 120
    own = fitted_fidelity(world, week)
    assert not [line for part in ("rate", "watch time, s") for line in own.part(part) if line.within is False]
    report = fitted_fidelity(world, later)
    verdict = {line.name: line.within for line in report.part("rate")}
    assert all(verdict[name] for name in ("click", "long_view", "complete", "forward"))
    assert all(line.within is not False for line in report.part("calibration error"))
    assert {line.name: line.simulated for line in report.part("AUC")}["click"] > 0.65  # type: ignore[operator]
