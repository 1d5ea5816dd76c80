from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import CountingUsers, Dice, InTurn, LengthByPatience, counting_catalog

from recgym.errors import BadData, UnknownName, WrongSetting
from recgym.evaluate import Evaluation, evaluate, summarise
from recgym.interaction_log import InteractionLog
from recgym.objective import Objective
from recgym.rollout import rollout
from recgym.session import FixedLength, Patience
from recgym.simulator import Simulator
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog


def counting(**settings: object) -> Simulator:
    objective = Objective(reward={"watch_time_s": 1, "hate": -10}, costs=("hate", "skip", "early_exit"))
    settings = {"session": FixedLength(4), "objective": objective} | settings
    return Simulator(CountingUsers(), counting_catalog(), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def default_world() -> Simulator:
    return Simulator(calibrated_users(300), synthetic_catalog(200), session=Patience(base_hazard=0.05), max_steps=60)


def test_every_number_of_two_users_by_hand() -> None:
    """Items of 2, 4, 6, 8 s. Person 6 watches 6 7 0 1 s, person 2 watches 2 3 4 5 s."""
    got = evaluate(
        InTurn(), counting(), np.array([0, 1]), user=np.array([6, 2]), popularity=np.array([2.0] + [1] * 6 + [8])
    )
    expected = {
        "watch_time_s": [14, 14], "depth": [4, 4], "visits": [1, 1], "reward": [4, 14],
        "like": [2, 2], "hate": [1, 0], "complete": [2, 1],
        "cost_hate": [1, 0], "cost_skip": [2, 1], "cost_early_exit": [1, 1],
        "like_rate": [1 / 2, 1 / 2], "hate_rate": [1 / 4, 0], "complete_rate": [1 / 2, 1 / 4],
        "cost_hate_rate": [1 / 4, 0], "cost_skip_rate": [1 / 2, 1 / 4], "cost_early_exit_rate": [1, 1],
        "watch_time_per_exposure_s": [14 / 4, 14 / 4], "intra_list_diversity": [1, 1],
        "novelty_bits": [(3 + 4 + 4 + 4) / 4] * 2,
    }  # fmt: skip
    for metric, numbers in expected.items():
        assert got.values(metric).tolist() == numbers, metric
    assert set(got.per_user) == {*expected, "lucky", "lucky_rate", "return_gap_days"}
    assert (got.values("return_gap_days") >= 1).all()
    assert got.catalogue["coverage"] == 4 / 8
    assert got.catalogue["gini_exposure"] == pytest.approx(1 / 2)
    assert (got.name, got.n_users) == ("InTurn", 2)
    assert got.seed.tolist() == [0, 1]
    assert got.user.tolist() == [6, 2]
    assert all(column.dtype == np.float64 and column.shape == (2,) for column in got.per_user.values())


def test_novelty_is_left_out_without_a_popularity() -> None:
    assert "novelty_bits" not in evaluate(InTurn(), counting(), np.arange(3)).per_user


def test_slates_count_exposures_and_sum_requests_once() -> None:
    got = evaluate(InTurn(k=2), counting(slate_size=2), np.array([0]), user=np.array([6]))
    assert got.values("depth").tolist() == [4]
    assert got.values("reward").tolist() == [4]
    assert got.values("cost_hate").tolist() == [1]
    assert got.values("cost_hate_rate").tolist() == [1 / 4]


def test_several_visits_are_one_session_with_early_exits_per_visit() -> None:
    got = evaluate(InTurn(), counting(session=FixedLength(2), visits=3), np.array([0, 1]), user=np.array([0, 7]))
    assert got.values("depth").tolist() == [6, 6]
    assert got.values("visits").tolist() == [3, 3]
    assert got.values("watch_time_s").tolist() == [3 * (0 + 1), 3 * (7 + 0)]
    assert got.values("cost_early_exit").tolist() == [3, 3]
    assert got.values("cost_early_exit_rate").tolist() == [1, 1]
    assert got.pooled_rate("cost_early_exit") == 1


def test_a_truncated_user_never_came_back() -> None:
    got = evaluate(InTurn(), counting(session=FixedLength(50), max_steps=1), np.arange(3))
    assert np.isnan(got.values("return_gap_days")).all()
    assert np.isnan(got.values("intra_list_diversity")).all(), "one exposure makes no pair"
    assert np.isnan(got.mean("return_gap_days"))
    assert got.values("visits").tolist() == [1, 1, 1]


def played_alone(policy: object, world: Simulator, seed: int) -> dict[str, float]:
    """The slow second implementation: one user, numbers kept in Python lists."""
    crowd, memory = world.start(np.array([seed])), policy.start(1)  # type: ignore[attr-defined]
    watch, feedback, items, rewards, costs, gap = [], [], [], [], [], np.nan
    while True:
        choice = policy.act(world.observe(crowd), memory, crowd.noise())  # type: ignore[attr-defined]
        turn, memory = world.step(crowd, choice.item), choice.memory
        items.append(int(turn.item[0, 0]))
        watch.append(float(turn.response.watch_time_s[0, 0]))
        feedback.append(turn.response.feedback[0, 0].tolist())
        rewards.append(float(turn.reward[0]))
        costs.append({name: float(cost[0]) for name, cost in turn.cost.items()})
        if turn.left[0]:
            gap = float(turn.return_gap_days[0])
        if turn.terminated[0] or turn.truncated[0]:
            break
    n = len(watch)
    vector = world.catalog.vector.astype(np.float64)
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    unlike = [1 - unit[a] @ unit[b] for i, a in enumerate(items) for b in items[max(0, i - 19) : i]]
    whole = [w >= float(world.catalog.duration_s[x]) for w, x in zip(watch, items, strict=True)]
    out = {"watch_time_s": sum(watch), "depth": n, "visits": 1, "reward": sum(rewards), "complete": sum(whole),
           "complete_rate": sum(whole) / n, "watch_time_per_exposure_s": sum(watch) / n, "return_gap_days": gap,
           "intra_list_diversity": float(np.mean(unlike)) if unlike else np.nan}  # fmt: skip
    for f, name in enumerate(world.users.feedback):
        out[name] = sum(row[f] for row in feedback)
        out[f"{name}_rate"] = out[name] / n
    for name in costs[0]:
        out[f"cost_{name}"] = sum(cost[name] for cost in costs)
        out[f"cost_{name}_rate"] = out[f"cost_{name}"] / (1 if name == "early_exit" else n)
    return out


def test_it_equals_playing_the_users_one_by_one(default_world: Simulator) -> None:
    policy, seed = Dice(n_items=200), np.arange(40) * 3
    got = evaluate(policy, default_world, seed, batch=16)
    alone = [played_alone(policy, default_world, int(one)) for one in seed]
    assert set(got.per_user) == set(alone[0])
    for metric, values in got.per_user.items():
        np.testing.assert_allclose(values, [one[metric] for one in alone], rtol=1e-9, err_msg=metric)


def test_numbers_do_not_depend_on_the_batch_or_on_the_other_users(default_world: Simulator) -> None:
    policy, seed = Dice(n_items=200), np.arange(30)
    whole = evaluate(policy, default_world, seed)
    for batch in (1, 7):
        part = evaluate(policy, default_world, seed, batch=batch)
        for metric, values in whole.per_user.items():
            np.testing.assert_array_equal(part.values(metric), values, err_msg=metric)
    some = evaluate(policy, default_world, seed[::3])
    for metric, values in whole.per_user.items():
        np.testing.assert_array_equal(some.values(metric), values[::3], err_msg=metric)


def ended_first(policy: object, world: Simulator, n: int, places: int) -> float:
    """How many evaluators do it: keep `places` users going and take the first n sessions that end. Mean depth."""
    crowd, memory = world.start(np.arange(places)), policy.start(places)  # type: ignore[attr-defined]
    depth, ended = np.zeros(places, np.int64), []
    while len(ended) < n:
        choice = policy.act(world.observe(crowd), memory, crowd.noise())  # type: ignore[attr-defined]
        turn, memory = world.step(crowd, choice.item), choice.memory
        depth += 1
        rows = np.flatnonzero(turn.terminated)
        ended += depth[rows].tolist()
        depth[rows] = 0
        if len(rows):
            world.restart(crowd, rows)
    return float(np.mean(ended[:n]))


def test_there_is_no_bias_to_short_sessions() -> None:
    """Persons stay 1 .. 16 exposures, 8.5 on average. The first to end are the short ones; everybody is everybody."""
    world = counting(session=LengthByPatience())
    whole = evaluate(Dice(), world, np.arange(800), user=np.arange(800) % 16, batch=100)
    assert whole.mean("depth") == 8.5
    drawn = evaluate(Dice(), world, np.arange(800), batch=100)
    assert drawn.mean("depth") == pytest.approx(8.5, abs=3 * 4.61 / np.sqrt(800))
    assert ended_first(Dice(), world, 100, 100) < 6, "the design that this test is there to refuse"


def test_pooled_rates_are_those_of_the_log(default_world: Simulator) -> None:
    policy, seed = Dice(n_items=200), np.arange(60)
    log = rollout(policy, default_world, seed)
    got = summarise(log, default_world.catalog, "dice")
    for name in log.feedback:
        assert got.pooled_rate(name) == pytest.approx(log.array(name).mean())
    assert got.pooled_rate("watch_time_s") == pytest.approx(log.array("watch_time_s").mean(dtype=np.float64))
    assert got.pooled_rate("cost_skip") == pytest.approx((log.array("watch_time_s") < 3).mean())
    assert got.pooled_rate("click") != pytest.approx(got.mean("click_rate")), "long sessions weigh more in a log"


def test_policies_are_compared_on_the_same_users_with_the_same_luck() -> None:
    world = counting(session=FixedLength(30))
    a = evaluate(Dice(), world, np.arange(20), name="dice")
    b = evaluate(InTurn(), world, np.arange(20), name="in turn")
    assert a.minus(b, "watch_time_s").tolist() == [0] * 20, "these users watch the same whatever is shown"
    assert a.minus(b, "lucky").tolist() == [0] * 20
    assert (a.minus(b, "complete") != 0).any()


@pytest.mark.parametrize("change", [{"seed": np.arange(1, 4)}, {"user": np.array([1, 2, 3])}, {"seed": np.arange(4)}])
def test_other_users_cannot_be_subtracted(change: dict[str, np.ndarray]) -> None:
    a = evaluate(Dice(), counting(), np.arange(3), name="dice")
    b = evaluate(Dice(), counting(), **({"seed": np.arange(3)} | change), name="others")  # type: ignore[arg-type]
    with pytest.raises(WrongSetting, match="'dice' and 'others' played other users"):
        a.minus(b, "depth")


def test_unknown_metrics_are_named_and_the_nearest_suggested() -> None:
    got = evaluate(Dice(), counting(), np.arange(3))
    with pytest.raises(UnknownName, match="Did you mean 'watch_time_s'"):
        got.mean("watch_time")
    with pytest.raises(UnknownName, match=r"no sum to pool called 'like_rate'.*Did you mean"):
        got.pooled_rate("like_rate")


def test_save_and_load_keep_everything(tmp_path: Path) -> None:
    got = evaluate(Dice(), counting(max_steps=1), np.arange(3), name="a name / with signs")
    got.save(tmp_path / "x")
    back = Evaluation.load(tmp_path / "x")
    assert (back.name, list(back.per_user), back.catalogue) == (got.name, list(got.per_user), got.catalogue)
    for metric, values in got.per_user.items():
        np.testing.assert_array_equal(back.values(metric), values)
    assert (back.minus(got, "depth") == 0).all()


def test_an_undefined_number_of_the_catalogue_survives_saving(tmp_path: Path) -> None:
    Evaluation("x", {"depth": np.ones(2)}, {"gini_exposure": float("nan")}).save(tmp_path)
    assert np.isnan(Evaluation.load(tmp_path).catalogue["gini_exposure"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "evaluation.json").unlink(), "evaluation.json: no such file"),
        (lambda folder: (folder / "evaluation.npz").unlink(), "evaluation.npz: no such file"),
        (lambda folder: (folder / "evaluation.json").write_text("[]"), "not what Evaluation.save wrote"),
        (lambda folder: (folder / "evaluation.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "evaluation.npz").write_bytes(b"PK"), "not a complete npz"),
        (lambda folder: rewrite(folder, format=99), "format 99.*Update"),
        (lambda folder: rewrite(folder, metrics=["a"] * 99), "lacks metric_"),
    ],
)
def test_broken_files_are_named(change: object, message: str, tmp_path: Path) -> None:
    evaluate(Dice(), counting(), np.arange(3)).save(tmp_path)
    change(tmp_path)  # type: ignore[operator]
    with pytest.raises(BadData, match=message):
        Evaluation.load(tmp_path)


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_half_a_log_is_refused() -> None:
    log = rollout(InTurn(), counting(), np.arange(2))
    cut = InteractionLog(log.table.head(7), log.feedback)
    with pytest.raises(BadData, match="middle of an episode"):
        summarise(cut, counting_catalog(), "cut")


class Clashing(CountingUsers):
    feedback = ("like", "hate", "depth")  # type: ignore[assignment]


def test_a_feedback_named_like_a_metric_is_refused() -> None:
    with pytest.raises(WrongSetting, match=r"feedback 'depth'.*Rename"):
        evaluate(InTurn(), Simulator(Clashing(), counting_catalog(), session=FixedLength(2)), np.arange(2))


def test_popularity_is_checked_before_anybody_plays() -> None:
    told: list[int] = []
    with pytest.raises(WrongSetting, match=r"popularity\[0\]"):
        evaluate(InTurn(), counting(), np.arange(2), popularity=np.zeros(8), progress=told.append)
    assert told == []
