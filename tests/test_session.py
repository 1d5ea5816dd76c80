"""When users leave and come back: closed forms, and a slow second implementation of the hazard."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes import CountingUsers, counting_catalog
from scipy import stats

from recgym.catalog import Catalog
from recgym.errors import WrongSetting
from recgym.feedback import FEEDBACK, Response
from recgym.noise import Noise
from recgym.objective import Objective
from recgym.session import FixedLength, Patience, Returns
from recgym.simulator import Simulator
from recgym.user_model import Habits
from recgym.users.synthetic import synthetic_catalog

MEMORYLESS = {"fatigue": 0.0, "satisfaction": 0.0, "boredom": 0.0, "annoyance": 0.0}


def luck(n: int, step: int = 0) -> Noise:
    return Noise.of(np.arange(n), np.zeros(n), step)


def average(n: int, patience: float = 1.0) -> Habits:
    return Habits(np.full(n, patience, np.float32), np.ones(n, np.float32))


class Average(CountingUsers):
    """Counting users who all are as patient as the average person."""

    def habits(self, user: np.ndarray) -> Habits:
        return average(len(user))


def lengths(session: Patience, k: int = 1, n: int = 4000) -> np.ndarray:
    """(n,) int64: exposures of the visits of n users, of whom nobody is truncated."""
    simulator = Simulator(Average(), counting_catalog(), session, Objective(costs=()), slate_size=k, max_steps=5000)
    crowd, out, step = simulator.start(np.arange(n)), np.zeros(n, np.int64), 0
    item = np.broadcast_to(np.arange(k, dtype=np.int32), (n, k))
    while (out == 0).any():
        step += 1
        done = simulator.step(crowd, item).terminated
        out[done & (out == 0)] = step * k
    return out


@pytest.mark.parametrize(("hazard", "k"), [(0.1, 1), (0.1, 3), (0.5, 1)])
def test_without_a_reason_to_leave_sessions_are_geometric(hazard: float, k: int) -> None:
    """P(length = m slates) = (1 - q) ** (m - 1) * q with q = 1 - (1 - hazard) ** k; chi-square, p = .001."""
    slates = lengths(Patience(base_hazard=hazard, **MEMORYLESS), k) // k
    q = 1 - (1 - hazard) ** k
    error = math.sqrt(1 - q) / q / math.sqrt(len(slates))
    assert abs(slates.mean() - 1 / q) < 4 * error
    last = 1 + int(math.log(0.01) / math.log(1 - q))
    count = np.bincount(np.minimum(slates, last), minlength=last + 1)[1:]
    wanted = len(slates) * np.array([*((1 - q) ** np.arange(last - 1) * q), (1 - q) ** (last - 1)])
    assert ((count - wanted) ** 2 / wanted).sum() < stats.chi2.ppf(0.999, last - 1)


def test_a_sure_hazard_and_twice_the_patience() -> None:
    assert (lengths(Patience(base_hazard=1.0, **MEMORYLESS), n=50) == 1).all()
    session, n = Patience(base_hazard=0.2, **MEMORYLESS), 20_000
    item, response = np.zeros((n, 1), np.int32), Response(np.zeros((n, 1), np.float32), np.zeros((n, 1, 1), bool))
    for patience, wanted in ((1.0, 0.2), (2.0, 0.1), (0.1, 1.0)):
        habits = average(n, patience)
        left = session.leaves(session.start(habits), habits, item, response, ("hate",), synthetic_catalog(5), luck(n))
        assert abs(left.mean() - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / n)


class SlowPatience:
    """One user's visit, from the docstring of `Patience`, in float64."""

    def __init__(self, settings: Patience, patience: float) -> None:
        self.settings, self.patience = settings, patience
        self.t, self.s, self.b, self.a, self.tag = 0, 0.4, 0.0, 0.0, -1

    def leaves(self, slate: list[int], watch: list[float], hate: list[bool], catalog: Catalog, u: float) -> bool:
        m, staying = self.settings.memory, 1.0
        for x, seconds, hated in zip(slate, watch, hate, strict=True):
            hazard = self.settings.base_hazard / self.patience * math.exp(
                self.settings.fatigue * self.t / 50 - self.settings.satisfaction * (self.s - 0.4)
                + self.settings.boredom * self.b + self.settings.annoyance * self.a
            )  # fmt: skip
            staying *= 1 - min(hazard, 1)
            self.t += 1
            self.s = m * self.s + (1 - m) * min(seconds / min(18.0, float(catalog.duration_s[x])), 1)
            tag = int(catalog.tags[x, 0])
            self.b = m * self.b + (1 - m) * (tag >= 0 and tag == self.tag)
            self.a = m * self.a + hated
            self.tag = tag
        return u >= staying


@pytest.mark.parametrize("k", [1, 4])
def test_the_hazard_equals_the_slow_implementation(k: int) -> None:
    catalog, n, rng = synthetic_catalog(30), 20, np.random.default_rng(5)
    session = Patience(base_hazard=0.05 / k, fatigue=1.0 / k, satisfaction=2.0, boredom=2.5, annoyance=1.2)
    habits = Habits(rng.uniform(0.3, 3, n).astype(np.float32), np.ones(n, np.float32))
    state, slow, seen = session.start(habits), [SlowPatience(session, float(p)) for p in habits.patience], []
    for step in range(60):
        item = rng.integers(0, 30, (n, k)).astype(np.int32)
        watch = (rng.exponential(15, (n, k)) * (rng.random((n, k)) < 0.7)).astype(np.float32)
        feedback = rng.random((n, k, len(FEEDBACK))) < 0.1
        noise = luck(n, step)
        left = session.leaves(state, habits, item, Response(watch, feedback), FEEDBACK, catalog, noise)
        wanted = [
            one.leaves(item[i].tolist(), watch[i].tolist(), feedback[i, :, FEEDBACK.index("hate")].tolist(), catalog,
                       float(noise.uniform("leave")[i, 0])) for i, one in enumerate(slow)
        ]  # fmt: skip
        assert left.tolist() == wanted
        seen.append(left.mean())
    np.testing.assert_allclose(state[:, :4], [[one.t, one.s, one.b, one.a] for one in slow], rtol=1e-4, atol=1e-6)
    assert 0.1 < np.mean(seen) < 0.9


@pytest.mark.parametrize(
    ("settings", "watch", "hate", "longer"),
    [
        ({"satisfaction": 3.0}, 100.0, False, True),
        ({"satisfaction": 3.0}, 0.0, False, False),
        ({"boredom": 2.0}, 7.2, False, False),
        ({"annoyance": 1.5}, 7.2, True, False),
        ({"fatigue": 5.0}, 7.2, False, False),
    ],
)
def test_each_reason_pulls_in_its_direction(settings: dict[str, float], watch: float, hate: bool, longer: bool) -> None:
    """After ten exposures of the same item, against users whom nothing moves: same luck, so the order is strict."""
    n, item = 5000, np.zeros((5000, 1), np.int32)
    response = Response(np.full((n, 1), watch, np.float32), np.full((n, 1, 1), hate))
    share = []
    for changes in (MEMORYLESS, MEMORYLESS | settings):
        session, habits = Patience(base_hazard=0.2, **changes), average(n)
        state = session.start(habits)
        for step in range(10):
            left = session.leaves(state, habits, item, response, ("hate",), synthetic_catalog(5), luck(n, step))
        share.append(left.mean())
    assert (share[1] < share[0]) == longer


def test_users_who_cannot_hate_are_never_annoyed() -> None:
    session, habits = Patience(annoyance=100.0), average(3)
    state = session.start(habits)
    response = Response(np.zeros((3, 1), np.float32), np.ones((3, 1, 1), bool))
    session.leaves(state, habits, np.zeros((3, 1), np.int32), response, ("like",), synthetic_catalog(5), luck(3))
    assert (state[:, 3] == 0).all()


@pytest.mark.parametrize(("satisfaction", "rate"), [(0.4, 1.0), (1.0, 1.0), (0.0, 0.5), (0.4, 3.0)])
def test_days_away_are_geometric_and_their_odds_shift(satisfaction: float, rate: float) -> None:
    n, returns = 20_000, Returns(daily_probability=0.3, satisfaction=1.5)
    gap = returns.gap_days(np.full(n, satisfaction, np.float32), np.full(n, rate, np.float32), luck(n))
    odds = 0.3 / 0.7 * rate * math.exp(1.5 * (satisfaction - 0.4))
    p = odds / (1 + odds)
    last = 1 + int(math.log(0.005) / math.log(1 - p))
    count = np.bincount(np.minimum(gap, last).astype(int), minlength=last + 1)[1:]
    wanted = n * np.array([*((1 - p) ** np.arange(last - 1) * p), (1 - p) ** (last - 1)])
    assert ((count - wanted) ** 2 / wanted).sum() < stats.chi2.ppf(0.999, last - 1)
    assert gap.min() == 1


def test_the_default_gaps_are_near_the_published_ones() -> None:
    """Datasets note 2.5: one day .617, two days .165."""
    gap = Returns().gap_days(np.full(20_000, 0.45, np.float32), np.ones(20_000, np.float32), luck(20_000))
    assert (gap == 1).mean() == pytest.approx(0.617, abs=0.02)
    assert (gap == 2).mean() == pytest.approx(0.165, abs=0.08)


@pytest.mark.parametrize(("rate", "satisfaction"), [(1e-20, 1.0), (1.0, 100.0), (1e30, 1.0), (1.0, -1e4)])
@pytest.mark.filterwarnings("error")
def test_gaps_stay_between_a_day_and_a_year(rate: float, satisfaction: float) -> None:
    gap = Returns(satisfaction=satisfaction).gap_days(np.zeros(50, np.float32), np.full(50, rate, np.float32), luck(50))
    assert ((gap >= 1) & (gap <= 365)).all()


def test_a_fixed_length_counts_exposures_and_returns_like_everybody() -> None:
    session, habits, catalog = FixedLength(4), average(3), synthetic_catalog(5)
    state = session.start(habits)
    item, response = np.zeros((3, 2), np.int32), Response(np.zeros((3, 2), np.float32), np.zeros((3, 2, 1), bool))
    assert session.leaves(state, habits, item, response, ("a",), catalog, luck(3)).tolist() == [False] * 3
    assert session.leaves(state, habits, item, response, ("a",), catalog, luck(3)).tolist() == [True] * 3
    usual = Returns().gap_days(np.full(3, 0.4, np.float32), np.ones(3, np.float32), luck(3))
    np.testing.assert_array_equal(session.return_gap_days(state, habits, luck(3)), usual)


def test_wrong_settings_are_refused() -> None:
    for make, message in (
        (lambda: Patience(base_hazard=0), r"Patience.base_hazard is 0; it must lie in \(0, 1\]"),
        (lambda: Patience(base_hazard=1.5), "Patience.base_hazard is 1.5"),
        (lambda: Patience(memory=1.0), r"Patience.memory is 1.0; it must lie in \[0, 1\)"),
        (lambda: Patience(boredom=math.nan), "Patience.boredom is nan; a finite number is needed"),
        (lambda: Patience(annoyance=math.inf), "Patience.annoyance is inf"),
        (lambda: FixedLength(0), "FixedLength.exposures is 0; at least 1 is needed"),
        (lambda: Returns(daily_probability=1.0), "Returns.daily_probability is 1.0; it must lie between 0 and 1"),
        (lambda: Returns(daily_probability=math.nan), "Returns.daily_probability is nan"),
    ):
        with pytest.raises(WrongSetting, match=message):
            make()


@pytest.mark.parametrize("slope", [math.nan, math.inf, -math.inf])
def test_a_return_slope_that_is_no_number_is_refused(slope: float) -> None:
    with pytest.raises(WrongSetting, match=r"Returns\.satisfaction is .*; a finite number is needed"):
        Returns(satisfaction=slope)
