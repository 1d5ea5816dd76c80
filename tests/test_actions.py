"""What an action means, with and without candidates, and what is said about bad ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from fakes import CountingUsers, counting_catalog
from gymnasium import spaces

from recgym.actions import FusedSignals, ItemAction, QueryAction, WeightsAction, action_named
from recgym.candidates import RetrievedCandidates, SampledCandidates
from recgym.catalog import Catalog
from recgym.errors import UnknownName, WrongAction, WrongSetting, WrongShape
from recgym.objective import Objective
from recgym.simulator import Crowd, Simulator

World = Callable[..., Simulator]


def going(simulator: Simulator, n: int = 7, steps: int = 3) -> Crowd:
    """n users some steps into their sessions."""
    crowd = simulator.start(np.arange(n))
    for step in range(steps):
        item = ((step * 10 + np.arange(simulator.slate_size))[None] + np.arange(n)[:, None]) % len(simulator.catalog)
        simulator.step(crowd, item.astype(np.int32))
    return crowd


# item


def test_an_item_is_its_number(embedded_world: Simulator) -> None:
    """So a uniformly random action is a uniformly random video: every action is another video, none is left out."""
    action = ItemAction(embedded_world)
    assert action.space == spaces.Discrete(7583)
    every = np.arange(7583)
    items = action.items(embedded_world.start(np.zeros(7583, int)), every)
    assert items.shape == (7583, 1)
    np.testing.assert_array_equal(items[:, 0], every)


def test_items_of_a_slate_keep_their_order(lively_world: World) -> None:
    simulator = lively_world(slate_size=3)
    action = ItemAction(simulator)
    assert action.space == spaces.MultiDiscrete([120, 120, 120])
    wanted = np.array([[5, 2, 119], [0, 1, 2]])
    np.testing.assert_array_equal(action.items(going(simulator, 2), wanted), wanted)


@pytest.mark.parametrize("k", [1, 3])
def test_with_candidates_an_item_is_a_place(lively_world: World, k: int) -> None:
    simulator = lively_world(slate_size=k, candidates=SampledCandidates(10))
    crowd, action = going(simulator), ItemAction(simulator)
    assert action.space == (spaces.Discrete(10) if k == 1 else spaces.MultiDiscrete([10] * 3))
    places = np.array([[9, 0, 4][:k]] * 7)
    wanted = [[crowd.candidate[i, place] for place in places[i]] for i in range(7)]
    np.testing.assert_array_equal(action.items(crowd, places), wanted)


def test_one_item_may_come_as_a_row(lively_world: World) -> None:
    simulator = lively_world()
    crowd, action = going(simulator), ItemAction(simulator)
    for given in (np.full(7, 3), np.full((7, 1), 3), np.full(7, 3, np.uint8), [3] * 7):
        np.testing.assert_array_equal(action.items(crowd, np.asarray(given)), np.full((7, 1), 3))


@pytest.mark.parametrize(
    ("settings", "action", "kind", "message"),
    [
        ({}, np.zeros(6, int), WrongShape, r"item actions have shape \(6,\) and type int64; \(7,\) whole"),
        ({}, np.zeros(7), WrongShape, "type float64"),
        ({}, np.zeros(7, bool), WrongShape, "type bool"),
        ({}, np.full(7, None), WrongShape, "type object"),
        ({}, np.zeros((7, 2), int), WrongShape, r"shape \(7, 2\)"),
        ({"slate_size": 3}, np.zeros(7, int), WrongShape, r"\(7, 3\) whole numbers from 0 to 119"),
        ({}, np.full(7, 120), WrongAction, r"row 0: action \[120\]; whole numbers from 0 to 119 are needed\."),
        ({}, np.full(7, -1), WrongAction, r"row 0: action \[-1\]; whole"),
        ({"slate_size": 3}, np.array([[1, 2, 3]] * 6 + [[1, 2, 120]]), WrongAction,
         r"row 6: action \[1, 2, 120\]; whole numbers from 0 to 119 are needed\."),
        ({"slate_size": 3}, np.array([[1, 1, -1]] * 7), WrongAction, r"row 0: action \[1, 1, -1\]; whole"),
        ({"candidates": SampledCandidates(10)}, np.array([0, 1, 10, 0, 0, 0, 0]), WrongAction,
         r"row 2: action \[10\]; whole numbers from 0 to 9 are needed\."),
        ({"candidates": SampledCandidates(10)}, np.full(7, -1), WrongAction, r"row 0: action \[-1\]"),
        ({"candidates": SampledCandidates(10)}, np.full(7, 2**32), WrongAction, "row 0"),
        ({"candidates": SampledCandidates(10), "slate_size": 3}, np.array([[1, 2, 10]] * 7), WrongAction, "0 to 9"),
    ],
)  # fmt: skip
def test_bad_item_actions(
    lively_world: World, settings: dict[str, Any], action: np.ndarray, kind: type, message: str
) -> None:
    simulator = lively_world(**settings)
    crowd = going(simulator)
    with pytest.raises(kind, match=message):
        simulator.step(crowd, ItemAction(simulator).items(crowd, action))


@pytest.mark.parametrize("number", [2**32 + 5, -(2**32) + 5])
def test_numbers_beyond_int32_are_refused(lively_world: World, number: int) -> None:
    simulator = lively_world()
    crowd = going(simulator)
    with pytest.raises(WrongAction):
        simulator.step(crowd, ItemAction(simulator).items(crowd, np.full(7, number)))


def one_by_one(row: list[int], room: int) -> list[int]:
    """Each number of a slate, or the next one after it (0 comes after the last) that does not stand further left."""
    out: list[int] = []
    for number in row:
        free = next(x % room for x in range(number, number + room) if x % room not in out)
        out.append(free)
    return out


def test_a_repeated_number_becomes_the_next_free_one() -> None:
    assert [one_by_one(row, 5) for row in ([1, 2, 1], [4, 4, 4], [3, 4, 3], [0, 1, 2])] == [
        [1, 2, 3], [4, 0, 1], [3, 4, 0], [0, 1, 2],
    ]  # fmt: skip


@pytest.mark.parametrize("candidates", [None, SampledCandidates(5)])
def test_every_action_of_the_space_is_a_slate(candidates: SampledCandidates | None) -> None:
    """All 125 of three out of five: shown as the rule above says, in any batch, and the caller's array stays."""
    simulator = Simulator(
        CountingUsers(), counting_catalog() if candidates else small(5), objective=Objective(costs=()), slate_size=3,
        **({"candidates": candidates} if candidates else {}),
    )  # fmt: skip
    action = ItemAction(simulator)
    assert action.space == spaces.MultiDiscrete([5, 5, 5])
    every = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    crowd, given = simulator.start(np.arange(125)), every.copy()
    shown = action.items(crowd, given)
    np.testing.assert_array_equal(given, every)
    places = np.array([one_by_one(row, 5) for row in every.tolist()])
    np.testing.assert_array_equal(shown, np.take_along_axis(crowd.candidate, places, axis=1) if candidates else places)
    alone = [action.items(simulator.start(np.array([i])), every[i : i + 1])[0].tolist() for i in range(125)]
    assert alone == shown.tolist()
    assert (simulator.step(crowd, shown).item == shown).all()


def small(n: int) -> Catalog:
    """The first items of the counting catalogue."""
    whole = counting_catalog()
    return Catalog(**{part.name: getattr(whole, part.name)[:n] for part in fields(Catalog)})


# query


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("candidates", [None, SampledCandidates(15), RetrievedCandidates(15)])
def test_a_query_shows_the_largest_products(lively_world: World, k: int, candidates: SampledCandidates | None) -> None:
    simulator = lively_world(slate_size=k, **({"candidates": candidates} if candidates else {}))
    crowd, action = going(simulator), QueryAction(simulator)
    assert action.space == spaces.Box(-1, 1, (18,), np.float32), "16 of content, the duration, the appeal"
    query = np.random.default_rng(0).uniform(-1, 1, (7, 18)).astype(np.float32)
    shown = action.items(crowd, query)
    for i in range(7):
        room = crowd.candidate[i] if candidates else np.arange(120)
        exact = simulator.catalog.vector[room].astype(float) @ query[i].astype(float)
        assert shown[i].tolist() == room[np.argsort(-exact, kind="stable")[:k]].tolist()
    assert shown.dtype == np.int32
    simulator.step(crowd, shown)


@pytest.mark.parametrize("action", ["query", "weights"])
@pytest.mark.parametrize("m", [1, 2, 3, 8, 15])
def test_one_alone_is_the_same_as_all_together(lively_world: World, action: str, m: int) -> None:
    simulator = lively_world(candidates=SampledCandidates(m))
    fused = action_named(action, simulator)
    value = np.random.default_rng(0).uniform(-1, 1, (60, *fused.space.shape)).astype(np.float32)  # type: ignore[misc]
    shown = fused.items(simulator.start(np.arange(60)), value)
    for i in range(60):
        alone = simulator.start(np.array([i]))
        np.testing.assert_array_equal(fused.items(alone, value[i : i + 1])[0], shown[i])
        if isinstance(fused, WeightsAction):
            whole = fused._predicted(simulator.start(np.arange(60)))
            assert fused._predicted(alone)[0].tobytes() == np.ascontiguousarray(whole[i]).tobytes()


# weights


def test_weights_rank_by_what_is_predicted(lively_world: World) -> None:
    """Without blur: weight on one signal alone shows the candidates in the order of its expectation."""
    simulator = lively_world(candidates=SampledCandidates(12), slate_size=5)
    crowd, action = going(simulator), WeightsAction(simulator, FusedSignals(blur=0.0))
    assert action.space == spaces.Box(-1, 1, (8,), np.float32)
    assert action.signals == ("watch_time_s", "click", "long_view", "like", "follow", "comment", "forward", "hate")
    expected = simulator.users.expect(crowd.state, crowd.candidate, simulator.catalog)
    signal = np.concatenate([expected.watch_time_s[..., None], expected.probability], axis=2)
    for s in range(8):
        for sign in (1, -1):
            weight = np.zeros((7, 8), np.float32)
            weight[:, s] = sign
            order = np.argsort(-sign * signal[..., s], axis=1, kind="stable")[:, :5]
            np.testing.assert_array_equal(
                action.items(crowd, weight), np.take_along_axis(crowd.candidate, order, axis=1)
            )


def test_predicted_signals_are_standardised_and_blurred(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(100))
    crowd = going(simulator, 200)
    clear = WeightsAction(simulator, FusedSignals(blur=0.0))._predicted(crowd)
    np.testing.assert_allclose(clear.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(clear.std(axis=1), 1, atol=1e-9)
    error = WeightsAction(simulator)._predicted(crowd) - clear
    assert error.std() == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(np.corrcoef(error.reshape(-1, 8).T), np.eye(8), atol=0.03)


def test_weights_need_candidates_and_expectations(lively_world: World) -> None:
    with pytest.raises(
        WrongSetting, match=r"'weights' action ranks candidates.*pass candidates=SampledCandidates\(100\)"
    ):
        WeightsAction(lively_world())
    blind = Simulator(
        CountingUsers(), counting_catalog(), objective=Objective(costs=()), candidates=SampledCandidates(4)
    )
    with pytest.raises(WrongSetting, match="needs predicted signals; CountingUsers has no `expect`"):
        WeightsAction(blind)


@pytest.mark.parametrize("name", ["query", "weights"])
@pytest.mark.parametrize("n_wrong", [0, 1])
def test_bad_box_actions(lively_world: World, name: str, n_wrong: int) -> None:
    simulator = lively_world(candidates=SampledCandidates(10))
    crowd, action = going(simulator), action_named(name, simulator)
    good = np.zeros((7, *action.space.shape), np.float32)  # type: ignore[misc]
    assert action.items(crowd, good).shape == (7, 1)
    for bad in (good[:, :-1], good[:5], good[0], good.astype(str), good == 1, good.astype(complex)):
        with pytest.raises(
            WrongShape, match=rf"{name} actions have shape .*, type .*; \(7, {good.shape[1]}\) numbers are needed"
        ):
            action.items(crowd, bad)
    for value in (np.nan, np.inf, -np.inf, 1.1e6, -3e38):
        spoilt = good.copy()
        spoilt[4, n_wrong] = value
        with pytest.raises(WrongAction, match=rf"row 4: {name} action .*; finite numbers up to 1e\+06 are needed"):
            action.items(crowd, spoilt)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["query", "weights"])
def test_numbers_beyond_float32_are_refused(lively_world: World, name: str) -> None:
    simulator = lively_world(candidates=SampledCandidates(10))
    crowd, action = going(simulator), action_named(name, simulator)
    with pytest.raises(WrongAction):
        action.items(crowd, np.full((7, *action.space.shape), 1e300))  # type: ignore[misc]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["query", "weights"])
def test_the_length_of_a_query_does_not_matter_up_to_the_largest_number(lively_world: World, name: str) -> None:
    """2**19 is below 1e6, and a power of two changes no rounding; so is 1e6 itself still allowed."""
    simulator = lively_world(candidates=SampledCandidates(30))
    crowd, action = going(simulator), action_named(name, simulator)
    sign = np.sign(np.random.default_rng(0).standard_normal((7, *action.space.shape)))  # type: ignore[misc]
    np.testing.assert_array_equal(action.items(crowd, 2.0**19 * sign), action.items(crowd, sign))
    assert action.items(crowd, 1e6 * sign).shape == (7, 1)


def test_unknown_actions_get_a_suggestion(lively_world: World) -> None:
    with pytest.raises(UnknownName, match=r"no action called 'items'. Did you mean 'item'. Known: item, query"):
        action_named("items", lively_world())
