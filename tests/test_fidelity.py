"""Fidelity: the measures against slow second implementations, a world against itself, and against a broken one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import CountingUsers, counting_catalog
from fitted_worlds import N_USERS, answered, exposures, known_catalog, known_users
from rich.console import Console

from recgym.errors import BadData, WrongSetting
from recgym.fidelity import default_fidelity, fidelity
from recgym.fidelity_measures import (
    UserResamples,
    auc,
    interval_95,
    intraclass_correlation,
    phi,
    reliability,
    together,
)
from recgym.fidelity_parts import PLACE, RARE_RATE, RATE
from recgym.fidelity_report import FidelityReport, Line, Target
from recgym.interaction_log import InteractionLog
from recgym.replay import replay, schedule
from recgym.session import FixedLength, Patience
from recgym.users.calibrated import CalibratedUsers

# ------------------------------------------------------------------------------------------------ measures


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    chance, happened = rng.integers(10, size=200) / 10, rng.random(200) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in chance[happened] for b in chance[~happened]]
    assert auc(chance, happened) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc(chance, np.ones(200, bool)))


def test_calibration_error_by_hand() -> None:
    chance = np.array([0.1, 0.1, 0.6, 0.8])
    happened = np.array([False, True, True, True])
    bins = reliability(chance, happened, bins=2)
    np.testing.assert_allclose(bins.predicted, [0.1, 0.7])
    np.testing.assert_allclose(bins.happened, [0.5, 1.0])
    assert bins.ece == pytest.approx(0.35)


def test_equal_probabilities_share_a_bin_and_true_ones_are_calibrated() -> None:
    assert len(reliability(np.full(100, 0.2), np.arange(100) < 20).rows) == 1
    assert reliability(np.full(100, 0.2), np.arange(100) < 20).ece == pytest.approx(0)
    rng = np.random.default_rng(0)
    chance = rng.random(200_000)
    assert reliability(chance, rng.random(200_000) < chance).ece < 0.005
    assert reliability(chance, rng.random(200_000) < 0.7 * chance).ece == pytest.approx(0.15, abs=0.005)


def test_intraclass_correlation_against_its_textbook_form_and_a_known_truth() -> None:
    table = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    group = np.repeat(np.arange(6), 4)
    assert intraclass_correlation(table.ravel(), group) == pytest.approx(0.166, abs=5e-4), (
        "Shrout, Fleiss 1979, ICC(1,1)"
    )
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4000), rng.integers(1, 12, 4000))
    value = 0.5 * rng.standard_normal(4000)[group] + rng.standard_normal(len(group))
    assert intraclass_correlation(value, group) == pytest.approx(0.2, abs=0.02)
    assert np.isnan(intraclass_correlation(np.zeros(3), np.zeros(3)))


def test_phi_and_shares_against_plain_definitions() -> None:
    rng = np.random.default_rng(0)
    columns = rng.random((500, 3)) < [0.5, 0.2, 0.0]
    columns[:, 1] |= columns[:, 0] & (rng.random(500) < 0.4)
    assert phi(columns[:, 0], columns[:, 1]) == pytest.approx(np.corrcoef(columns[:, 0], columns[:, 1])[0, 1])
    assert np.isnan(phi(columns[:, 0], columns[:, 2]))
    shares = together(columns)
    assert shares[0, 1] == pytest.approx(columns[columns[:, 0], 1].mean())
    assert np.isnan(shares[2]).all()


def test_resampled_users_give_the_standard_error_of_user_means() -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(2000), 5)
    value = np.repeat(rng.standard_normal(2000), 5)
    samples = UserResamples(user, 1000, seed=1).ratios(value, np.ones(10_000))
    assert samples.std() == pytest.approx(1 / np.sqrt(2000), rel=0.1), "not 1 / sqrt(10000): rows of a user go together"
    low, high = interval_95(samples)
    assert high - low == pytest.approx(3.92 / np.sqrt(2000), rel=0.1)


def test_resampled_quantiles_are_those_of_the_rows_drawn() -> None:
    rng = np.random.default_rng(0)
    user, value, at = rng.integers(30, size=400), rng.random(400), np.array([0.25, 0.5, 0.9])
    resampled, rows = UserResamples(user, 5, seed=2), np.flatnonzero(rng.random(400) < 0.7)
    found = resampled.quantiles(value, rows, at)
    for b, times in enumerate(resampled.times):
        drawn = np.repeat(value[rows], times[resampled.owner[rows]].astype(int))
        np.testing.assert_allclose(found[b], np.quantile(drawn, at, method="inverted_cdf"))


def test_targets_say_what_they_ask_for() -> None:
    assert str(RATE) == "within 10%"
    assert str(RARE_RATE) == "within 25%, or in the log's 95 % interval"
    assert Target(0.1, absolute=0.02).line("", "", 0.1, 0.119).within
    assert not Target(0.1).line("", "", 0.1, 0.1101).within
    assert PLACE.line("", "", 0.5, 0.7, (0.3, 0.75)).within
    assert not PLACE.line("", "", 0.5, 0.8, (0.3, 0.75)).within
    assert RATE.line("", "", float("nan"), 0.1).within is None
    assert not RATE.line("", "", 0.1, float("nan")).within, "no number is a miss, not a pass"


# ------------------------------------------------------------------------------------------------ replay


def test_a_replay_shows_each_user_his_rows_in_the_order_of_time() -> None:
    log = InteractionLog.from_arrays(
        {"user": np.array([1, 0, 1, 0, 1]), "session": np.array([3, 0, 2, 0, 3]), "step": np.array([1, 1, 0, 0, 0]),
         "position": np.zeros(5, int), "item": np.array([1, 2, 3, 4, 5]), "watch_time_s": np.zeros(5),
         "time_ms": np.array([50, 30, 10, 20, 40]) * 86_400_000, "like": np.zeros(5, bool)}, ("like",),
    )  # fmt: skip
    plan = schedule(log)
    assert [rows.tolist() for rows in plan.step] == [[2, 3], [4, 1], [0]]
    assert plan.rests.tolist() == [False, False, False, False, True]
    assert plan.rank.tolist() == [1, 1, 0, 0, 0]
    assert plan.gap_days.tolist() == [10, 10, 0, 0, 30]
    played = replay(CountingUsers(), counting_catalog(), log, 0)
    np.testing.assert_array_equal(played.watch_time_s, [2, 1, 1, 0, 1], "the visit of row 4 begins anew")


def test_a_users_luck_does_not_depend_on_who_else_is_shown_something() -> None:
    log, users, catalog = exposures(5, 0, n_users=40), known_users(), known_catalog()
    whole = replay(users, catalog, log, 3)
    mask = np.isin(log.array("user"), [3, 17, 29])
    part = replay(users, catalog, log.where(mask), 3)
    np.testing.assert_array_equal(part.watch_time_s, whole.watch_time_s[mask])
    np.testing.assert_array_equal(part.feedback, whole.feedback[mask])
    assert (replay(users, catalog, log, 4).watch_time_s != whole.watch_time_s).any()


def test_users_and_items_that_the_world_lacks_are_refused() -> None:
    log = exposures(1, 0)
    part = known_users().population
    fewer = replace(part, **{name: getattr(part, name)[:-1] for name in part.__dataclass_fields__})
    users = CalibratedUsers(fewer, known_users().parameters)
    with pytest.raises(BadData, match=r"row 2499 of the log: user 2499; this world has users 0 .. 2498"):
        replay(users, known_catalog(), log, 0)


# ------------------------------------------------------------------------------------------------ reports


@pytest.fixture(scope="module")
def own_log() -> InteractionLog:
    """150,000 answers of the known users."""
    return answered(exposures(60, 0), known_users(), known_catalog(), episode=12_345)


@pytest.fixture(scope="module")
def own_report(own_log: InteractionLog) -> FidelityReport:
    """The known users beside their own log."""
    return fidelity(known_users(), known_catalog(), own_log, replays=3, resamples=60)


def test_users_are_within_every_target_of_their_own_log(own_report: FidelityReport) -> None:
    assert own_report.outside == ()
    assert {line.part for line in own_report.judged} == {
        "rate", "watch time, s", "completion", "together", "phi", "users alike", "items alike", "place in the visit",
        "calibration error",
    }  # fmt: skip
    assert len(own_report.judged) > 250


def test_a_report_is_strict_json_and_a_table(own_report: FidelityReport) -> None:
    text = json.dumps(own_report.to_json(), allow_nan=False)
    assert json.loads(text)["summary"] == own_report.summary
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(own_report.table(everything=True))
    shown = console.export_text()
    assert all(line.name in shown for line in own_report.part("rate"))
    assert "within target" in shown


def test_users_who_hate_every_other_video_are_found_out(own_log: InteractionLog) -> None:
    parameters = known_users().parameters
    intercept = parameters.intercept.copy()
    intercept[4], scale = 0, parameters.user_scale.copy()
    scale[4] = 0.01
    broken = CalibratedUsers(known_users().population, parameters.replace(intercept=intercept, user_scale=scale))
    report = fidelity(broken, known_catalog(), own_log, replays=1, resamples=30)
    hate = {line.name: line for line in report.part("rate")}["hate"]
    assert hate.simulated == pytest.approx(0.5, abs=0.1)
    assert hate.verdict == "outside"
    assert [line.name for line in report.part("rate") if line.within is False] == ["hate"]
    assert any("hate" in line.name for line in report.outside if line.part == "together")


def test_users_who_watch_longer_are_found_out_in_watch_times_and_calibration(own_log: InteractionLog) -> None:
    parameters = known_users().parameters
    watch = parameters.watch.copy()
    watch[0] += 0.3
    keen = CalibratedUsers(known_users().population, parameters.replace(watch=watch))
    report = fidelity(keen, known_catalog(), own_log, replays=1, resamples=30)
    outside = {line.part for line in report.outside}
    assert {"rate", "watch time, s", "completion", "calibration error"} <= outside
    assert any("watch-time deciles" in note for note in report.notes)


def test_rows_with_a_guessed_duration_are_left_out_of_what_needs_it(own_log: InteractionLog) -> None:
    rows = len(own_log)
    known = np.arange(rows) % 3 > 0
    table = own_log.table.with_columns(
        extra_duration_known=known, watch_time_s=np.where(known, own_log.array("watch_time_s"), 0)
    )
    log = InteractionLog(table, own_log.feedback)
    report = fidelity(known_users(), known_catalog(), log, replays=1, resamples=30)
    judged = (*report.part("watch time, s"), *report.part("rate"))
    assert not [line for line in judged if line.within is False and not line.inside]
    assert f"{rows // 3} rows with a guessed duration" in " ".join(report.notes)


def test_visits_are_compared_where_a_session_model_is_asked() -> None:
    """The known log's visits have ten exposures each: a model of ten agrees, one of five leaves too early."""
    log = answered(exposures(40, 0), known_users(), known_catalog())
    right, wrong = (fidelity(known_users(), known_catalog(), log, replays=1, resamples=10, session=FixedLength(length))
                    for length in (10, 5))  # fmt: skip
    lines = right.part("visit length")
    assert [line.name for line in lines] == ["leaves at exposure 1 to 5", "leaves at exposure 6 to 10"]
    assert [(line.real, line.simulated) for line in lines] == [(0, 0), (0.2, 0.2)]
    assert [line.within for line in wrong.part("visit length")] == [False, False]
    assert fidelity(known_users(), known_catalog(), log, replays=1, resamples=10, session=Patience()).part(
        "visit length"
    )


def test_feedbacks_that_only_one_side_has_are_named_and_a_user_model_needs_no_probabilities() -> None:
    log = InteractionLog.from_arrays(
        {"user": np.arange(400) % 4, "session": np.arange(400) % 4, "step": np.arange(400) // 4,
         "position": np.zeros(400, int), "item": np.arange(400) % 8, "watch_time_s": np.ones(400),
         "like": np.arange(400) % 2 == 0, "gift": np.zeros(400, bool)}, ("like", "gift"),
    )  # fmt: skip
    report = fidelity(CountingUsers(), counting_catalog(), log, replays=1, resamples=5)
    assert {line.name for line in report.part("rate")} == {"like", "complete"}
    notes = " ".join(report.notes)
    assert "gift, hate, lucky: not compared" in notes
    assert "cannot say probabilities" in notes
    assert report.part("AUC") == ()


def test_an_empty_log_and_wrong_settings_are_refused() -> None:
    log = exposures(1, 0)
    with pytest.raises(BadData, match="no rows"):
        fidelity(known_users(), known_catalog(), log.where(np.zeros(N_USERS, bool)))
    with pytest.raises(WrongSetting, match="replays=0"):
        fidelity(known_users(), known_catalog(), log, replays=0)
    with pytest.raises(WrongSetting, match="at least 100"):
        default_fidelity(people=5)


def test_the_default_world_is_compared_with_the_published_tables() -> None:
    report = default_fidelity(people=600)
    assert {line.part for line in report.lines} == {
        "random policy", "good policy", "watching by duration", "completion", "users alike", "items alike", "return",
    }  # fmt: skip
    lines = {(line.part, line.name): line for line in report.lines}
    for name in ("click", "long_view"):
        line = lines["random policy", name]
        assert line.simulated == pytest.approx(line.real, rel=0.25), "600 people; tests/test_default_world.py is exact"
    assert lines["good policy", "click"].simulated == pytest.approx(0.4939, rel=0.1)
    json.dumps(report.to_json(), allow_nan=False)


def test_a_line_knows_whether_it_lies_in_the_interval() -> None:
    assert Line("", "", 1.0, 1.5, 1.0, 2.0).inside
    assert Line("", "", 1.0, 2.5, 1.0, 2.0).inside is False
    assert Line("", "", 1.0, 2.5).inside is None
