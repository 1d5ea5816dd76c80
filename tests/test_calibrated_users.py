"""The calibrated users against a second, slow implementation, and against integrals that are known."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from recgym.catalog import Catalog
from recgym.errors import BadData, WrongSetting, WrongShape
from recgym.feedback import FEEDBACK, Response
from recgym.noise import Noise
from recgym.users.calibrated import EXPLICIT, TRAITS, WATCH, CalibratedParameters, CalibratedState, CalibratedUsers
from recgym.users.calibrated_kernels import mean_ratios
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import default_parameters
from recgym.users.synthetic import synthetic_catalog, synthetic_population


class SlowUser:
    """One person, written from the formulas of `recgym.users.calibrated`, one item after the other, in float64."""

    def __init__(self, users: CalibratedUsers, person: int) -> None:
        self.parameters, people = users.parameters, users.population
        self.number = {name: float(v) for name, v in zip(WATCH, self.parameters.watch, strict=True)}
        self.trait = people.trait[person].astype(float)
        self.taste = people.taste[person].astype(float)
        self.tags: list[int] = []
        self.items: list[int] = []

    def match(self, x: int, catalog: Catalog) -> float:
        """appeal + taste . vector, in units of the score; both vectors have about unit variance per coordinate."""
        vector = catalog.appeal_vector[x].astype(float)
        taste = self.number["taste"] / math.sqrt(len(vector)) * self.taste @ (vector * math.sqrt(len(vector)))
        return self.number["appeal"] * float(catalog.appeal[x, TRAITS.index("watch")]) + float(taste)

    def score(self, x: int, earlier: list[int], catalog: Catalog, normal: float) -> float:
        tag = int(catalog.tags[x, 0])
        before = self.tags[-10:] + [int(catalog.tags[e, 0]) for e in earlier]
        repeats = min(before.count(tag), 10) / 10 if tag >= 0 else 0.0
        tired = min((len(self.tags) + len(earlier)) / 50, 2.0)
        known = x in self.items[-20:]
        return (
            self.number["level"] + self.number["user"] * self.trait[0] + self.match(x, catalog)
            - self.number["boredom"] * repeats - self.number["fatigue"] * tired
            - float(self.parameters.repeat[0]) * known + self.number["sigma"] * normal
        )  # fmt: skip

    def seconds(self, x: int, score: float, catalog: Catalog) -> float:
        duration, first, last = catalog.duration_s[x], *self.parameters.score
        bucket = sum(bool(duration > end) for end in self.parameters.bucket_end_s)
        row = self.parameters.ratio[bucket].astype(float)
        return float(duration) * float(np.interp(score, np.linspace(first, last, len(row)), row))

    def answer(self, slate: list[int], catalog: Catalog, noise: Noise) -> tuple[list[float], list[list[bool]]]:
        """Seconds and feedbacks for each item of the slate; `noise` is that of this one user."""
        watch, feedback = [], []
        normal = noise.normal("engagement", len(slate))[0]
        draw = {name: noise.uniform(name, len(slate))[0] for name in EXPLICIT}
        for j, x in enumerate(slate):
            seconds = self.seconds(x, self.score(x, slate[:j], catalog, normal[j]), catalog)
            duration = float(catalog.duration_s[x])
            complete = np.float32(seconds) >= np.float32(duration)
            click = bool(complete if duration <= 7 else seconds > 7)
            long = bool(complete if duration <= 18 else seconds >= 18)
            kind = 3 if complete and long and click else 2 if long and click else 1 if click else 0
            said = [self.says(f, kind, x, catalog) for f in range(5)]
            given: list[bool] = []
            for f, name in enumerate(EXPLICIT):
                logit = said[f] + sum(float(self.parameters.follow_on[f, g]) for g in range(f) if given[g])
                given.append(bool(draw[name][j] < 1 / (1 + math.exp(-logit))))
            watch.append(seconds)
            feedback.append([click, long, *given])
        return watch, feedback

    def says(self, f: int, kind: int, x: int, catalog: Catalog) -> float:
        p = self.parameters
        return float(
            p.intercept[f, kind] + p.match_slope[f] * self.match(x, catalog) + p.user_scale[f] * self.trait[1 + f]
            + p.appeal_scale[f] * catalog.appeal[x, 1 + f]
        )  # fmt: skip

    def move(self, slate: list[int], watch: list[float], catalog: Catalog) -> None:
        """Taste turns towards what was watched and keeps its length; tags and items are remembered."""
        for x, seconds in zip(slate, watch, strict=True):
            share = self.number["drift"] * min(seconds / float(catalog.duration_s[x]), 1.0)
            target = catalog.appeal_vector[x].astype(float) * math.sqrt(len(self.taste))
            new = self.taste + share * (target - self.taste)
            self.taste = new * math.sqrt((self.taste @ self.taste) / (new @ new))
            self.tags.append(int(catalog.tags[x, 0]))
            self.items.append(x)

    def rest(self) -> None:
        self.tags = []


def slates(n: int, k: int, size: int, step: int) -> np.ndarray:
    """(n, k) int32: distinct items that come back every few steps."""
    first = (7 * np.arange(n)[:, None] + 3 * (step % 9)) % size
    return ((first + 11 * np.arange(k)) % size).astype(np.int32)


@pytest.mark.parametrize("k", [1, 6])
def test_kernels_equal_the_slow_implementation(lively_users: CalibratedUsers, k: int) -> None:
    """Boredom, also inside a slate, fatigue, repeats, drift, rest, follow-on feedbacks: 40 steps of 5 persons."""
    catalog, person = synthetic_catalog(60), np.array([0, 7, 50, 111, 199])
    slow = [SlowUser(lively_users, p) for p in person]
    luck = [Noise.of(np.array([9 + i]), np.array([0])) for i in range(5)]
    state = lively_users.start(person, Noise.of(np.arange(9, 14), np.zeros(5), -1))
    seen = np.zeros(len(FEEDBACK))
    for step in range(40):
        item = slates(5, k, 60, step)
        noise = Noise.of(np.arange(9, 14), np.zeros(5), step)
        response = lively_users.respond(state, item, catalog, noise)
        for i, user in enumerate(slow):
            watch, feedback = user.answer(item[i].tolist(), catalog, Noise(luck[i].key, np.array([step])))
            np.testing.assert_allclose(response.watch_time_s[i], watch, rtol=3e-5, err_msg=f"step {step}, row {i}")
            assert response.feedback[i].tolist() == feedback, (step, i)
            user.move(item[i].tolist(), response.watch_time_s[i].astype(float).tolist(), catalog)
        seen += response.feedback.sum(axis=(0, 1))
        state = lively_users.change(state, item, response, catalog, noise)
        if step == 25:
            state = lively_users.rest(state, np.ones(5, np.float32))
            for user in slow:
                user.rest()
    assert (seen > 0).all(), f"some feedback never happened, so it was not tested: {seen}"
    scale = lively_users.parameters.watch_value("taste") / 4
    np.testing.assert_allclose(state.taste, [user.taste * scale for user in slow], rtol=1e-3, atol=1e-5)


def moved(users: CalibratedUsers, catalog: Catalog, person: np.ndarray, steps: int) -> CalibratedState:
    """The state of some persons in the middle of a visit, with repeats and boredom behind them."""
    n = len(person)
    state = users.start(person, Noise.of(person, np.zeros(n), -1))
    for step in range(steps):
        noise, item = Noise.of(person, np.zeros(n), step), slates(n, 1, len(catalog), step)
        state = users.change(state, item, users.respond(state, item, catalog, noise), catalog, noise)
    return state


def test_expect_is_the_mean_over_the_luck(lively_users: CalibratedUsers) -> None:
    """100,000 rows of luck for each of 12 pairs; every mean within 4 standard errors (one in 16,000 is beyond)."""
    catalog, m = synthetic_catalog(60), 100_000
    state = moved(lively_users, catalog, np.arange(12), 15)
    item = np.concatenate([slates(6, 1, 60, 14), np.arange(6, dtype=np.int32)[:, None] * 9])
    expected = lively_users.expect(state, item, catalog)
    for i in range(12):
        many = CalibratedState(*(np.repeat(column[i : i + 1], m, axis=0) for column in state))
        response = lively_users.respond(
            many, np.repeat(item[i : i + 1], m, axis=0), catalog, Noise.of(np.arange(m), np.full(m, i), 3)
        )
        watch, p = response.watch_time_s[:, 0].astype(float), expected.probability[i, 0].astype(float)
        assert abs(watch.mean() - expected.watch_time_s[i, 0]) < 4 * watch.std() / math.sqrt(m)
        error = np.abs(response.feedback[:, 0].mean(axis=0) - p)
        assert (error < 4 * np.sqrt(p * (1 - p) / m) + 1e-6).all(), (i, error, p)


def test_expected_seconds_of_the_catalogue_are_those_of_expect(lively_users: CalibratedUsers) -> None:
    catalog = synthetic_catalog(90)
    state = moved(lively_users, catalog, np.arange(30), 26)
    every = np.broadcast_to(np.arange(90, dtype=np.int32), (30, 90))
    slow = lively_users.expect(state, every, catalog).watch_time_s
    np.testing.assert_allclose(lively_users.expect_watch_time_s(state, catalog), slow, rtol=2e-5)


def test_expect_takes_items_one_by_one(lively_users: CalibratedUsers) -> None:
    catalog = synthetic_catalog(90)
    state = moved(lively_users, catalog, np.arange(4), 5)
    together = lively_users.expect(state, np.tile(np.arange(10, dtype=np.int32), (4, 1)), catalog)
    for j in range(10):
        alone = lively_users.expect(state, np.full((4, 1), j, np.int32), catalog)
        np.testing.assert_array_equal(alone.watch_time_s[:, 0], together.watch_time_s[:, j])
        np.testing.assert_array_equal(alone.probability[:, 0], together.probability[:, j])


def test_mean_ratios_are_the_integral() -> None:
    rng = np.random.default_rng(0)
    ratio, score = np.cumsum(rng.random((3, 21)) ** 3, axis=1).astype(np.float32), np.array([-3.0, 5.0], np.float32)
    grid, sigma = np.linspace(-3, 5, 21), 0.7
    wanted = np.empty((3, 21))
    for b in range(3):
        for g, mean in enumerate(grid):
            edges = np.concatenate([[mean - 9 * sigma], grid[(grid > mean - 9 * sigma) & (grid < mean + 9 * sigma)],
                                    [mean + 9 * sigma]])  # fmt: skip
            wanted[b, g] = sum(
                integrate.fixed_quad(
                    lambda y, b=b, mean=mean: np.interp(y, grid, ratio[b]) * stats.norm.pdf(y, mean, sigma),
                    low,
                    high,
                    n=12,
                )[0]
                for low, high in pairwise(edges)
            )
    np.testing.assert_allclose(mean_ratios(ratio, score, sigma), wanted, rtol=2e-6)


def test_thresholds_are_the_first_score_that_reaches_the_ratio() -> None:
    parameters = default_parameters()
    duration = np.array([5, 7, 8, 18, 19, 60, 200, 599, 1000], np.float32)
    fine = np.linspace(*parameters.score.astype(float), 200_001)
    grid = np.linspace(*parameters.score.astype(float), parameters.ratio.shape[1])
    for wanted in (0.02, 0.3, 0.95, 1.0, 2.0):
        found = parameters.threshold(duration, np.full(len(duration), wanted))
        for i, bucket in enumerate(parameters.bucket(duration)):
            reached = np.interp(fine, grid, parameters.ratio[bucket].astype(float)) >= wanted
            brute = fine[reached.argmax()] if reached.any() else np.inf
            if brute == fine[0]:
                assert found[i] <= fine[0]
            elif math.isinf(brute):
                assert found[i] > fine[-1]
            else:
                assert found[i] == pytest.approx(brute, abs=2 * (fine[1] - fine[0]))


def test_thresholds_of_plateaus_and_of_ratios_out_of_reach() -> None:
    default = default_parameters()
    ratio = np.array([[0.1, 0.5, 0.5, 0.5, 2.0]], np.float32)
    score = np.array([0.0, 4.0], np.float32)
    parameters = default.replace(ratio=ratio, score=score, bucket_end_s=np.zeros(0, np.float32))
    wanted = np.array([0.05, 0.1, 0.3, 0.5, 1.25, 2.0, 2.1])
    assert parameters.threshold(np.full(7, 20.0), wanted).tolist() == pytest.approx([-10, -10, 0.5, 1, 3.5, 4, 14])


def test_click_probability_agrees_with_the_rule_at_its_threshold() -> None:
    """Just above the score of a click the watched seconds are a valid play, just below they are not."""
    parameters, catalog = default_parameters(), synthetic_catalog(300)
    grid = np.linspace(*parameters.score.astype(float), parameters.ratio.shape[1])
    duration = catalog.duration_s.astype(float)
    at = parameters.threshold(catalog.duration_s, np.minimum(7.0 / duration, 1))
    for sign, wanted in ((1, True), (-1, False)):
        for x in range(300):
            row = parameters.ratio[parameters.bucket(catalog.duration_s[x : x + 1])[0]].astype(float)
            seconds = duration[x] * np.interp(at[x] + sign * 1e-5, grid, row)
            assert (seconds > 7 if duration[x] > 7 else seconds >= duration[x]) == wanted, x


def test_taste_keeps_its_length_and_turns_towards_what_was_watched(lively_users: CalibratedUsers) -> None:
    catalog, item = synthetic_catalog(60), np.array([[4]], np.int32)
    state = lively_users.start(np.array([3]), Noise.of(np.array([0]), np.array([0]), -1))
    whole = Response(catalog.duration_s[item], np.zeros((1, 1, 7), bool))
    after = lively_users.change(state, item, whole, catalog, Noise.of(np.array([0]), np.array([0])))
    nothing = whole._replace(watch_time_s=np.zeros((1, 1), np.float32))
    same = lively_users.change(state, item, nothing, catalog, Noise.of(np.array([0]), np.array([0])))
    np.testing.assert_allclose(np.linalg.norm(after.taste), np.linalg.norm(state.taste), rtol=1e-5)
    assert (after.taste @ catalog.appeal_vector[4])[0] > (state.taste @ catalog.appeal_vector[4])[0]
    np.testing.assert_array_equal(same.taste, state.taste)


def test_methods_leave_the_given_state_alone(lively_users: CalibratedUsers) -> None:
    catalog = synthetic_catalog(60)
    state = moved(lively_users, catalog, np.arange(5), 12)
    before = [column.copy() for column in state]
    noise, item = Noise.of(np.arange(5), np.zeros(5), 12), slates(5, 3, 60, 1)
    response = lively_users.respond(state, item, catalog, noise)
    lively_users.change(state, item, response, catalog, noise)
    lively_users.rest(state, np.ones(5, np.float32))
    lively_users.expect(state, item, catalog)
    lively_users.expect_watch_time_s(state, catalog)
    lively_users.observe(state)[:] = 0
    for old, column in zip(before, state, strict=True):
        np.testing.assert_array_equal(old, column)
    assert (lively_users.population.profile != 0).any()


def test_rest_forgets_tags_and_fatigue_but_not_taste_and_items(lively_users: CalibratedUsers) -> None:
    state = moved(lively_users, synthetic_catalog(60), np.arange(5), 12)
    rested = lively_users.rest(state, np.full(5, 2, np.float32))
    assert (rested.recent_tag == -1).all()
    assert (rested.exposures == 0).all()
    for name in ("user", "taste", "trait", "recent_item", "shown"):
        np.testing.assert_array_equal(getattr(rested, name), getattr(state, name))


def test_two_catalogues_can_take_turns(lively_users: CalibratedUsers) -> None:
    one, other, noise = synthetic_catalog(60), synthetic_catalog(90, seed=5), Noise.of(np.arange(3), np.zeros(3))
    state, item = lively_users.start(np.arange(3), noise), np.full((3, 1), 8, np.int32)
    first = [lively_users.respond(state, item, catalog, noise).watch_time_s for catalog in (one, other, one, other)]
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(first[1], first[3])
    assert (first[0] != first[1]).any()


def test_saved_users_are_the_same_users(lively_users: CalibratedUsers, tmp_path: Path) -> None:
    lively_users.save(tmp_path)
    loaded, catalog = CalibratedUsers.load(tmp_path), synthetic_catalog(60)
    noise, item = Noise.of(np.arange(9), np.zeros(9)), slates(9, 6, 60, 0)
    one, other = (u.respond(u.start(np.arange(9), noise), item, catalog, noise) for u in (lively_users, loaded))
    np.testing.assert_array_equal(one.watch_time_s, other.watch_time_s)
    np.testing.assert_array_equal(one.feedback, other.feedback)


def test_users_and_catalogue_of_different_dimensions_are_refused(lively_users: CalibratedUsers) -> None:
    noise = Noise.of(np.arange(2), np.zeros(2))
    with pytest.raises(
        WrongShape, match="catalogue's appeal_vector has 8 coordinates an item, the users 16; they must be"
    ):
        lively_users.respond(lively_users.start(np.arange(2), noise), np.zeros((2, 1), np.int32),
                             synthetic_catalog(20, dimension=8), noise)  # fmt: skip
    for make in (lambda: calibrated_users(10, dimension=6), lambda: calibrated_users(0), lambda: synthetic_catalog(0)):
        with pytest.raises(WrongSetting, match=r"at least 1 (user|item) and a multiple of 4 are needed"):
            make()


def test_broken_parameters_and_people_are_refused() -> None:
    default, people = default_parameters(), synthetic_population(10)
    falling = default.ratio[:, ::-1]
    for change, kind, message in (
        ({"ratio": falling}, BadData, "ratio: each row must be non-negative and must not decrease"),
        ({"ratio": default.ratio - 1}, BadData, "must be non-negative"),
        ({"watch": default.watch[:3]}, WrongShape, r"watch: shape \(3,\), not \(8,\)"),
        ({"bucket_end_s": default.bucket_end_s[::-1]}, BadData, "bucket_end_s must increase"),
        ({"intercept": np.full((5, 4), np.nan, np.float32)}, BadData, "intercept holds NaN or infinity"),
    ):
        with pytest.raises(kind, match=message):
            default.replace(**change)
    with pytest.raises(TypeError, match="unknown"):
        default.replace(unknown=default.watch)
    fields = {name: getattr(people, name) for name in people.__dataclass_fields__}
    with pytest.raises(WrongShape, match=r"Population.trait has shape \(9, 6\)"):
        type(people)(**(fields | {"trait": people.trait[:9]}))
    with pytest.raises(BadData, match=r"Population.taste holds NaN"):
        type(people)(**(fields | {"taste": people.taste * np.nan}))


@pytest.mark.parametrize("name", ["patience", "return_rate"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_habits_that_make_no_sense_are_refused(name: str, value: float) -> None:
    people = synthetic_population(10)
    fields = {f: getattr(people, f) for f in people.__dataclass_fields__}
    habit = np.ones(10, np.float32)
    habit[3] = value
    with pytest.raises(BadData, match=name):
        type(people)(**(fields | {name: habit}))


@pytest.mark.parametrize("change", [{"score": np.array([6.0, -4.0], np.float32)}, {"sigma": 0.0}])
def test_a_score_axis_without_width_is_refused(change: dict[str, object]) -> None:
    default = default_parameters()
    if "sigma" in change:
        watch = default.watch.copy()
        watch[WATCH.index("sigma")] = 0
        change = {"watch": watch}
    with pytest.raises(BadData):
        CalibratedParameters(**({f: getattr(default, f) for f in default.__dataclass_fields__} | change))  # type: ignore[arg-type]
