"""Rewards and costs worked out by hand; limits and names checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fakes import CountingUsers, LengthByPatience, counting_catalog

from recgym.errors import UnknownName, WrongSetting
from recgym.objective import EARLY_EXIT_STEPS, QUICK_SKIP_S, Objective, signal_names
from recgym.session import FixedLength
from recgym.simulator import Simulator, Turn


def turns(user: int, steps: int, k: int = 1, **settings: Any) -> list[Turn]:
    """Person u watches (u + t) % 8 seconds of the t-th item, likes even numbers, hates where nothing was watched."""
    simulator = Simulator(CountingUsers(), counting_catalog(), slate_size=k, **settings)
    crowd = simulator.start(np.array([0]), 0, np.array([user]))
    return [simulator.step(crowd, np.arange(k, dtype=np.int32)[None]) for _ in range(steps)]


def test_one_item_by_hand() -> None:
    objective = Objective(reward={"watch_time_s": 0.5, "like": 2, "hate": -3, "skip": -0.25}, costs=("hate", "skip"))
    seen = turns(6, 5, objective=objective, session=FixedLength(99))
    assert [float(turn.total[0, 0]) for turn in seen] == [6, 7, 0, 1, 2]
    likes, hates, skips = [1, 0, 1, 0, 1], [0, 0, 1, 0, 0], [0, 0, 1, 1, 1]
    wanted = [
        0.5 * s + 2 * a - 3 * b - 0.25 * c for s, a, b, c in zip([6, 7, 0, 1, 2], likes, hates, skips, strict=True)
    ]
    assert [float(turn.reward[0]) for turn in seen] == wanted == [5, 3.5, -1.25, 0.25, 2.75]
    assert [float(turn.cost["hate"][0]) for turn in seen] == hates
    assert [float(turn.cost["skip"][0]) for turn in seen] == skips
    assert list(seen[0].cost) == ["hate", "skip"]


def test_a_slate_is_summed() -> None:
    objective = Objective(reward={"like": 1, "skip": 10}, costs=("like", "skip", "watch_time_s"))
    turn = turns(6, 1, k=4, objective=objective, session=FixedLength(99))[0]  # 6, 7, 0 and 1 seconds
    assert turn.reward.tolist() == [2 + 20]
    assert {name: value.tolist() for name, value in turn.cost.items()} == {
        "like": [2],
        "skip": [2],
        "watch_time_s": [14],
    }


def test_three_seconds_are_no_skip() -> None:
    assert QUICK_SKIP_S == 3
    seen = turns(2, 2, objective=Objective(costs=("skip",)), session=FixedLength(9))
    assert [float(turn.cost["skip"][0]) for turn in seen] == [1, 0]


@pytest.mark.parametrize(("stays", "early"), [(1, 1), (9, 1), (10, 0), (11, 0)])
def test_an_early_exit_is_one_before_the_tenth_exposure(stays: int, early: int) -> None:
    """Person u stays u + 1 exposures. Leaving right after the tenth is no early exit."""
    assert EARLY_EXIT_STEPS == 10
    seen = turns(stays - 1, stays, objective=Objective(costs=("early_exit",)), session=LengthByPatience())
    assert [float(turn.cost["early_exit"][0]) for turn in seen] == [0] * (stays - 1) + [early]


def test_every_visit_can_end_early() -> None:
    seen = turns(1, 4, objective=Objective(costs=("early_exit",)), session=LengthByPatience(), visits=2)
    assert [float(turn.cost["early_exit"][0]) for turn in seen] == [0, 1, 0, 1]


def test_signals_are_counted_in_their_columns() -> None:
    assert signal_names(("a", "b")) == ("watch_time_s", "a", "b", "skip", "early_exit")
    objective = Objective(reward={"b": 2}, costs=("early_exit", "a"))
    assert objective.weights(("a", "b")).tolist() == [0, 0, 2, 0, 0]
    assert objective.cost_columns(("a", "b")) == {"early_exit": 4, "a": 1}


def test_no_reward_and_no_costs_are_allowed() -> None:
    turn = turns(3, 1, objective=Objective(reward={}, costs=()))[0]
    assert turn.reward.tolist() == [0]
    assert turn.cost == {}


def test_a_reward_that_is_not_watched_does_not_make_nan() -> None:
    """0 times a signal is left out; it is never infinity times 0."""
    turn = turns(3, 1, objective=Objective(reward={"watch_time_s": 0.0, "like": 1e300}, costs=()))[0]
    assert turn.reward.tolist() == [0]


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf])
def test_weights_are_finite(weight: float) -> None:
    with pytest.raises(WrongSetting, match=r"Objective.reward\['like'\] is .*; weights are finite numbers"):
        Objective(reward={"like": weight})


@pytest.mark.parametrize("limit", [math.nan, math.inf, -0.1])
def test_limits_are_finite_and_not_negative(limit: float) -> None:
    with pytest.raises(WrongSetting, match=r"Objective.limits\['hate'\] is .*; limits are finite and not negative"):
        Objective(limits={"hate": limit})


def test_only_costs_can_be_limited() -> None:
    assert Objective(limits={"hate": 0.0, "skip": 0.4}).limits == {"hate": 0.0, "skip": 0.4}
    with pytest.raises(UnknownName, match=r"no cost to limit called 'skipp'. Did you mean 'skip'"):
        Objective(limits={"skipp": 0.1})


@pytest.mark.parametrize("where", [{"reward": {"forwad": 1}}, {"costs": ("forwad",)}])
def test_an_unknown_signal_gets_a_suggestion(where: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match=r"no signal called 'forwad'. Did you mean 'forward'.*Known: .*watch_time_s"):
        Objective(**where).check(("like", "forward"))


def test_the_default_objective_fits_users_without_hate_only_if_told() -> None:
    with pytest.raises(UnknownName, match="no signal called 'hate'"):
        Objective().check(("like",))
    Objective(costs=("skip",)).check(("like",))
