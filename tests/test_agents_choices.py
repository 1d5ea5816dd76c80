"""What each simple agent shows, against answers worked out by hand or by a slow second way."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the agents need the extra 'train'")

# isort: split
import torch
from test_agents_tiny_world import (
    BEST,
    BEST_S,
    N_ITEMS,
    Kind,
    TwoKinds,
    candidate_world,
    log_of,
    seconds_per_exposure,
    slate_world,
    tiny_catalog,
    tiny_world,
)

from recgym.errors import UnknownName, WrongSetting, WrongShape
from recgym.feedback import Response
from recgym.interaction_log import InteractionLog
from recgym.objective import Objective
from recgym.observation import flat_names
from recgym.rollout import rollout
from recgym.simulator import Simulator
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog
from recgym_agents import make_agent
from recgym_agents.behaviour_cloning import CloningPolicy, full_softmax_loss, sampled_softmax_loss
from recgym_agents.fitting import held_out
from recgym_agents.networks import ItemScorer, torch_chance
from recgym_agents.oracle import Oracle

FEW_ROWS: dict[str, Any] = {"hidden": (32,), "batch": 64, "learning_rate": 3e-3, "epochs": 30, "patience": 5}


def hand_log(item: list[int], seconds: list[float]) -> InteractionLog:
    n = len(item)
    columns: dict[str, Any] = {
        "user": np.arange(n),
        "session": np.arange(n),
        "step": np.zeros(n, np.int32),
        "position": np.zeros(n, np.int16),
        "item": np.array(item),
        "watch_time_s": np.array(seconds, np.float32),
        "like": np.array([x == 1 for x in item]),
        "hate": np.zeros(n, bool),
    }
    return InteractionLog.from_arrays(columns, ("like", "hate"))


def shown(agent: Any, world: Simulator, n: int = 6) -> np.ndarray:
    crowd = world.start(np.arange(n))
    return np.asarray(agent.policy.act(world.observe(crowd), agent.policy.start(n), crowd.noise()).item)


def test_popularity_is_a_smoothed_mean() -> None:
    agent = make_agent("popularity", tiny_world(), smoothing=2.0)
    agent.learn(hand_log([0, 0, 0, 1, 2, 2], [9, 9, 6, 12, 0, 0]), 0)
    score = agent.policy.columns[0]
    mean = 36 / 6
    expected = [(24 + 2 * mean) / 5, (12 + 2 * mean) / 3, (0 + 2 * mean) / 4, *[mean] * 9]
    np.testing.assert_allclose(score, expected, rtol=1e-6)


@pytest.mark.parametrize(("signal", "first"), [("exposures", 0), ("like", 1), ("watch_time_s", 1)])
def test_popularity_counts_what_it_is_told(signal: str, first: int) -> None:
    world = tiny_world()
    agent = make_agent("popularity", world, signal=signal, smoothing=0.0)
    agent.learn(hand_log([0, 0, 0, 1, 2, 2], [9, 9, 6, 12, 0, 0]), 0)
    assert (shown(agent, world) == first).all()


def test_popularity_refuses_an_unknown_signal() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'like'"):
        make_agent("popularity", tiny_world(), signal="likes").learn(hand_log([0], [1]), 0)


def test_popularity_shows_each_item_once_and_then_what_is_left() -> None:
    world = tiny_world(length=N_ITEMS + 1)
    agent = make_agent("popularity", world)
    agent.learn(hand_log(list(range(N_ITEMS)), [float(x) for x in range(N_ITEMS)]), 0)
    log = rollout(agent.policy, world, np.arange(1))
    assert log.array("item").tolist() == [*reversed(range(N_ITEMS)), N_ITEMS - 1]


def test_oracle_shows_the_best_item() -> None:
    world = tiny_world()
    oracle = make_agent("oracle", world)
    assert seconds_per_exposure(oracle.policy, world) == pytest.approx(BEST_S, rel=0.05)
    assert Oracle.label == "oracle (greedy one step)"


def test_oracle_agrees_with_expectations_taken_one_by_one() -> None:
    """On the default users: the fast path, the general path, candidates and slates, against one call per pair."""
    users, catalog = calibrated_users(200), synthetic_catalog(40)
    for objective, k in (({"watch_time_s": 2.0}, 3), ({"watch_time_s": 0.1, "like": 5.0, "hate": -9.0}, 1)):
        world = Simulator(users, catalog, objective=Objective(objective), slate_size=k)
        oracle = make_agent("oracle", world, pairs_at_once=100)
        crowd = world.start(np.arange(7))
        world.step(crowd, np.tile(np.arange(k, dtype=np.int32), (7, 1)))
        oracle.policy.look(world, crowd)
        item = oracle.policy.act(world.observe(crowd), (), crowd.noise()).item
        score = np.zeros((7, 40))
        for x in range(40):
            one = users.expect(crowd.state, np.full((7, 1), x, np.int32), catalog)
            score[:, x] = objective["watch_time_s"] * one.watch_time_s[:, 0]
            for name in set(objective) - {"watch_time_s"}:
                score[:, x] += objective[name] * one.probability[:, 0, users.feedback.index(name)]
        np.testing.assert_array_equal(item, np.argsort(-score, axis=1, kind="stable")[:, :k])


def test_oracle_chooses_among_candidates() -> None:
    world = candidate_world()
    crowd = world.start(np.arange(30))
    oracle = make_agent("oracle", world)
    oracle.policy.look(world, crowd)
    item = oracle.policy.act(world.observe(crowd), (), crowd.noise()).item[:, 0]
    best = np.array(BEST)[crowd.state.kind]
    offered = (crowd.candidate == best[:, None]).any(axis=1)
    assert offered.any()
    assert not offered.all()
    np.testing.assert_array_equal(item == best, offered)
    assert (crowd.candidate == item[:, None]).any(axis=1).all()


def test_oracle_without_repeats_shows_distinct_items() -> None:
    world = tiny_world(length=8)
    log = rollout(make_agent("oracle", world, repeats=False).policy, world, np.arange(3))
    assert all(len(set(log.array("item")[start : start + 8])) == 8 for start in (0, 8, 16))


def test_oracle_refuses_what_cannot_be_expected() -> None:
    with pytest.raises(WrongSetting, match="cannot expect skip"):
        make_agent("oracle", tiny_world(objective=Objective({"watch_time_s": 1, "skip": -1.0})))

    class NoExpectations:
        feedback: tuple[str, ...] = TwoKinds.feedback
        n_users = 3

        def start(self, user: np.ndarray, noise: Any) -> Kind:
            return TwoKinds().start(user, noise)

        def observe(self, state: Kind) -> np.ndarray:
            return TwoKinds().observe(state)

        def respond(self, *args: Any) -> Response:
            return TwoKinds().respond(*args)

        def change(self, state: Kind, *rest: Any) -> Kind:
            return state

    with pytest.raises(WrongSetting, match="NoExpectations has no `expect`"):
        make_agent("oracle", tiny_world(users=NoExpectations()))


def test_oracle_must_look_first() -> None:
    world = tiny_world()
    with pytest.raises(WrongShape, match="call look first"):
        shown(make_agent("oracle", world), world)


def test_oracle_beats_random_on_the_default_world() -> None:
    world = Simulator(calibrated_users(2_000), synthetic_catalog(1_000))
    seconds = [rollout(make_agent(name, world).policy, world, np.arange(60)) for name in ("oracle", "random")]
    per_exposure = [log.array("watch_time_s").mean() for log in seconds]
    assert per_exposure[0] > 2 * per_exposure[1]


def test_logging_policy_starts_uniform_and_follows_taste() -> None:
    world = tiny_world()
    agent = make_agent("logging", world, epsilon=0.1, beta=20.0)
    crowd = world.start(np.arange(400))
    first = agent.policy.act(world.observe(crowd), (), crowd.noise())
    np.testing.assert_allclose(np.exp(first.log_prob), 1 / N_ITEMS)
    world.step(crowd, np.full((400, 1), 5, np.int32))
    assert not agent.policy.liked(world.observe(crowd)).any(), "one item does not say what is liked more than another"
    world.step(crowd, np.full((400, 1), 3, np.int32))
    vector, watched = world.catalog.vector.astype(float), world.observe(crowd).history_watch_time_s[:, -2:] / 30
    shown = 0.95 * vector[5] + vector[3]
    liked = 0.95 * watched[:, :1] * vector[5] + watched[:, 1:] * vector[3]
    liked -= (liked @ shown / (shown @ shown))[:, None] * shown
    liked /= np.linalg.norm(liked, axis=1, keepdims=True)
    got = agent.policy.liked(world.observe(crowd))
    np.testing.assert_allclose(got / np.linalg.norm(got, axis=1, keepdims=True), liked, atol=1e-3)
    second = agent.policy.act(world.observe(crowd), (), crowd.noise())
    weight = np.exp(20 * liked @ vector.T)
    expected = 0.1 / N_ITEMS + 0.9 * weight / weight.sum(axis=1, keepdims=True)
    chosen = expected[np.arange(400), second.item[:, 0]]
    np.testing.assert_allclose(np.exp(second.log_prob), chosen, rtol=0.03)
    assert chosen.mean() == pytest.approx((expected**2).sum(axis=1).mean(), abs=4.5 * 0.5 / 20)


def test_logging_policy_favours_long_videos() -> None:
    """Nothing is liked yet: exp(duration * standardised log duration), mixed with uniform slates."""
    world = tiny_world()
    seconds = np.geomspace(5, 200, N_ITEMS).astype(np.float32)
    world = replace(world, catalog=replace(world.catalog, duration_s=seconds))
    crowd = world.start(np.arange(4_000))
    choice = make_agent("logging", world, epsilon=0.1, duration=0.7).policy.act(world.observe(crowd), (), crowd.noise())
    log = np.log(seconds.astype(float))
    weight = np.exp(0.7 * (log - log.mean()) / log.std())
    expected = 0.1 / N_ITEMS + 0.9 * weight / weight.sum()
    np.testing.assert_allclose(np.exp(choice.log_prob), expected[choice.item[:, 0]], rtol=1e-4)
    np.testing.assert_allclose(np.bincount(choice.item[:, 0]) / 4_000, expected, atol=4.5 * 0.5 / 4_000**0.5)


def test_logging_policy_on_slates_against_enumeration() -> None:
    world = slate_world()
    policy: Any = make_agent("logging", world, epsilon=0.3, beta=2.0).policy
    n = 3_000
    crowd = world.start(np.arange(n))
    world.step(crowd, np.tile(np.array([0, 1, 2], np.int32), (n, 1)))
    seen = world.observe(crowd).rows(np.zeros(n, np.int64))  # all are known to have done what the first did
    choice = policy.act(seen, (), crowd.noise())
    liked = policy.liked(seen)[0].astype(float)
    score = 2.0 * world.catalog.vector @ liked / np.linalg.norm(liked)
    probability = {}
    for slate in permutations(range(N_ITEMS), 3):
        left, p = list(range(N_ITEMS)), 1.0
        for item in slate:
            p *= np.exp(score[item]) / np.exp(score[left]).sum()
            left.remove(item)
        probability[slate] = 0.3 / (12 * 11 * 10) + 0.7 * p
    assert sum(probability.values()) == pytest.approx(1)
    wanted = [probability[tuple(slate)] for slate in choice.item.tolist()]
    np.testing.assert_allclose(np.exp(choice.log_prob), wanted, rtol=1e-4)


def test_liked_columns_are_where_the_observation_says() -> None:
    world = tiny_world()
    names = flat_names(2, 4, world.users.feedback)
    assert len(names) == world.flat(world.start(np.arange(1))).shape[1]
    assert names.index("liked_vector_0") + 3 == names.index("liked_vector_3")


def test_full_softmax_loss_is_the_cross_entropy() -> None:
    scorer, flat, item = some_scores()
    with torch.no_grad():
        score = scorer.user(flat).numpy() @ scorer.item_columns()
        loss = float(full_softmax_loss(scorer, flat, item))
    slow = np.mean([np.log(np.exp(score[i]).sum()) - score[i, item[i]] for i in range(len(item))])
    assert loss == pytest.approx(slow, abs=1e-5)


def test_sampled_softmax_loss_approaches_the_full_one() -> None:
    scorer, flat, item = some_scores()
    with torch.no_grad():
        full = float(full_softmax_loss(scorer, flat, item))
        sampled = float(sampled_softmax_loss(scorer, flat, item, 100_000, torch.Generator().manual_seed(0)))
    assert sampled == pytest.approx(full, abs=0.02)


def some_scores() -> tuple[ItemScorer, torch.Tensor, torch.Tensor]:
    with torch_chance(0):
        scorer = ItemScorer(5, tiny_catalog(), (6,), 3)
        torch.nn.init.normal_(scorer.item_id.weight)
        return scorer, torch.randn(8, 5), torch.randint(N_ITEMS, (8,))


def test_sampled_softmax_clones_as_the_full_one_does() -> None:
    world = tiny_world()
    log = log_of(make_agent("oracle", world).policy, world)
    agent = make_agent("behaviour_cloning", world, full_softmax_up_to=5, negatives=8, **FEW_ROWS)
    agent.learn(log, 0)
    assert seconds_per_exposure(agent.policy, world) > 0.9 * BEST_S


def test_held_out_takes_whole_sessions() -> None:
    log = log_of(make_agent("random", tiny_world()).policy, tiny_world(), 40)
    held = held_out(log, 0.25, np.random.default_rng(0))
    session = log.array("session")
    assert len(np.unique(session[held])) == 10
    assert not set(session[held]) & set(session[~held])
    assert not held_out(log, 0.0, np.random.default_rng(0)).any()
    one = log.where(session == 0)
    assert not held_out(one, 0.9, np.random.default_rng(0)).any()


def test_temperature_flattens_behaviour_cloning() -> None:
    world = tiny_world()
    agent: Any = make_agent("behaviour_cloning", world, **(FEW_ROWS | {"epochs": 4}))
    agent.learn(log_of(make_agent("oracle", world).policy, world), 0)
    seconds = [seconds_per_exposure(CloningPolicy(agent.network, 1, t), world) for t in (1.0, 4.0, 50.0)]
    assert seconds[0] > 0.8 * BEST_S
    assert seconds[0] > seconds[1] > seconds[2]


@pytest.mark.parametrize("signal", ["watch_time_s", "like", "reward"])
def test_ranker_predicts_the_signal(signal: str) -> None:
    """With `transform` none, predictions are the standardised conditional means, known in closed form."""
    world = tiny_world()
    log = log_of(make_agent("random", world).policy, world, 600)
    agent: Any = make_agent("watch_time_ranker", world, signal=signal, transform="none", **FEW_ROWS)
    losses = agent.learn(log, 0)
    crowd = world.start(np.arange(20))
    expected = world.users.expect(crowd.state, np.tile(np.arange(N_ITEMS, dtype=np.int32), (20, 1)), world.catalog)  # type: ignore[attr-defined]
    truth = expected.probability[:, :, 0] if signal == "like" else expected.watch_time_s
    value = log.array(signal).astype(float)
    with torch.no_grad():
        flat = torch.as_tensor(world.flat(crowd)).repeat_interleave(N_ITEMS, 0)
        standard = agent.network(flat, torch.arange(N_ITEMS).repeat(20)).numpy().reshape(20, N_ITEMS)
    error = np.sqrt(np.mean((standard * value.std() + value.mean() - truth) ** 2)) / truth.std()
    assert error < 0.35
    assert losses["valid/loss"] < 1


def test_ranker_without_repeats_shows_distinct_items() -> None:
    world = tiny_world(length=9)
    log = rollout(make_agent("watch_time_ranker", world).policy, world, np.arange(2))
    assert [len(set(log.array("item")[start : start + 9])) for start in (0, 9)] == [9, 9]
