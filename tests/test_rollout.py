from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from fakes import N_ITEMS, CountingUsers, Dice, InTurn, LengthByPatience, counting_catalog
from polars.testing import assert_frame_equal

from recgym.candidates import SampledCandidates
from recgym.errors import RecGymError, WrongAction, WrongSetting, WrongShape
from recgym.interaction_log import InteractionLog
from recgym.objective import Objective
from recgym.observation import Observation
from recgym.policy import Choice
from recgym.rollout import FINAL_OBSERVATION, rollout
from recgym.session import FixedLength, Patience
from recgym.simulator import Crowd, Simulator
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog


def counting(**settings: object) -> Simulator:
    settings = {"session": FixedLength(3), "objective": Objective(costs=("hate", "early_exit"))} | settings
    return Simulator(CountingUsers(), counting_catalog(), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def default_world() -> Simulator:
    return Simulator(calibrated_users(300), synthetic_catalog(200), session=Patience(base_hazard=0.08), max_steps=40)


def one_by_one(
    policy: object, simulator: Simulator, seed: np.ndarray, user: np.ndarray | None = None
) -> InteractionLog:
    """The slow way, written anew: one user after the other, until the episode ends."""
    rows, names = [], simulator.users.feedback
    for i, one in enumerate(seed):
        crowd = simulator.start(np.array([one]), 0, None if user is None else user[i : i + 1])
        memory, ended, step = policy.start(1), False, 0  # type: ignore[attr-defined]
        while not ended:
            choice = policy.act(simulator.observe(crowd), memory, crowd.noise())  # type: ignore[attr-defined]
            turn, memory = simulator.step(crowd, choice.item), choice.memory
            ended = bool(turn.terminated[0] or turn.truncated[0])
            for position in range(simulator.slate_size):
                rows.append(
                    {"user": crowd.user[0], "session": i, "step": step, "position": position,
                     "item": turn.item[0, position], "watch_time_s": turn.response.watch_time_s[0, position],
                     **{name: turn.response.feedback[0, position, f] for f, name in enumerate(names)},
                     "propensity": np.exp(choice.log_prob[0]), "reward": turn.reward[0],
                     "terminated": turn.terminated[0], "truncated": turn.truncated[0],
                     "return_gap_days": turn.return_gap_days[0] if turn.left[0] else None,
                     "seed": one, "episode": 0, **{f"cost_{name}": c[0] for name, c in turn.cost.items()}}
                )  # fmt: skip
            step += 1
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = pl.DataFrame(
        {name: pl.Series(np.array(c)) if None not in c else pl.Series(c) for name, c in columns.items()}
    )
    return InteractionLog(table, names)


def same(a: InteractionLog, b: InteractionLog) -> None:
    assert_frame_equal(a.table, b.table, check_exact=True, check_column_order=False)


def test_every_number_of_a_small_log_by_hand() -> None:
    log = rollout(InTurn(), counting(), np.array([5, 6]), user=np.array([7, 2]))
    assert log.array("user").tolist() == [7] * 3 + [2] * 3
    assert log.array("session").tolist() == [0] * 3 + [1] * 3
    assert log.array("step").tolist() == [0, 1, 2] * 2
    assert log.array("position").tolist() == [0] * 6
    assert log.array("item").tolist() == [0, 1, 2] * 2
    assert log.array("watch_time_s").tolist() == [7, 0, 1, 2, 3, 4]
    assert log.array("like").tolist() == [False, True, False, True, False, True]
    assert log.array("hate").tolist() == [False, True, False, False, False, False]
    assert log.array("propensity").tolist() == [1.0] * 6
    assert log.array("reward").tolist() == [7, 0, 1, 2, 3, 4]
    assert log.array("cost_hate").tolist() == [0, 1, 0, 0, 0, 0]
    assert log.array("cost_early_exit").tolist() == [0, 0, 1, 0, 0, 1]
    assert log.array("terminated").tolist() == [False, False, True] * 2
    assert not log.array("truncated").any()
    assert np.isnan(log.array("return_gap_days")).tolist() == [True, True, False] * 2
    assert (log.array("return_gap_days")[[2, 5]] >= 1).all()
    assert log.array("seed").tolist() == [5] * 3 + [6] * 3
    assert log.array("episode").tolist() == [0] * 6


def test_slates_have_one_row_per_item_and_repeat_what_belongs_to_the_request() -> None:
    log = rollout(InTurn(k=2), counting(slate_size=2, session=FixedLength(4)), np.array([0]), user=np.array([6]))
    assert log.array("step").tolist() == [0, 0, 1, 1]
    assert log.array("position").tolist() == [0, 1, 0, 1]
    assert log.array("item").tolist() == [0, 1, 2, 3]
    assert log.array("watch_time_s").tolist() == [6, 7, 0, 1]
    assert log.array("reward").tolist() == [13, 13, 1, 1]
    assert log.array("cost_hate").tolist() == [0, 0, 1, 1]
    assert log.array("hate").tolist() == [False, False, True, False]
    assert log.array("terminated").tolist() == [False, False, True, True]


def test_visits_are_sessions_and_the_episode_ends_with_the_last() -> None:
    log = rollout(InTurn(), counting(session=FixedLength(2), visits=2), np.array([1, 2]), user=np.array([0, 1]))
    assert log.array("session").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert log.array("step").tolist() == [0, 1] * 4
    assert log.array("item").tolist() == [0, 1, 2, 3] * 2, "the policy's memory lasts for the episode"
    assert log.array("watch_time_s").tolist() == [0, 1, 0, 1, 1, 2, 1, 2], "rest() begins the count anew"
    assert log.array("terminated").tolist() == [False, False, False, True] * 2
    assert np.isnan(log.array("return_gap_days")).tolist() == [True, False] * 4
    start, stop = log.sessions()
    assert (stop - start).tolist() == [2] * 4


def test_truncated_is_not_terminated() -> None:
    log = rollout(InTurn(), counting(session=FixedLength(50), max_steps=4), np.array([0, 1]))
    assert log.array("truncated").tolist() == [False, False, False, True] * 2
    assert not log.array("terminated").any()
    assert np.isnan(log.array("return_gap_days")).all()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16, 1000])
def test_each_user_is_recorded_to_the_end_and_not_beyond(batch: int) -> None:
    """Person u leaves after u + 1 exposures; seven places for sixteen users of very different lengths."""
    log = rollout(InTurn(), counting(session=LengthByPatience()), np.arange(16), user=np.arange(16), batch=batch)
    start, stop = log.sessions()
    assert (stop - start).tolist() == list(range(1, 17))
    assert log.array("user")[start].tolist() == list(range(16))
    assert log.array("watch_time_s")[start].tolist() == [u % 8 for u in range(16)]


@pytest.mark.parametrize("batch", [1, 5, 64])
@pytest.mark.parametrize(
    "policy", [Dice(), InTurn()], ids=["a policy of chance", "a policy with memory"]
)  # fmt: skip
def test_batches_equal_one_by_one(policy: object, batch: int, default_world: Simulator) -> None:
    seed = np.arange(40) * 7
    same(rollout(policy, default_world, seed, batch=batch), one_by_one(policy, default_world, seed))  # type: ignore[arg-type]


def test_slates_and_named_users_equal_one_by_one() -> None:
    world = counting(
        slate_size=3, session=LengthByPatience(), objective=Objective(costs=("hate", "skip", "early_exit"))
    )
    seed, user = np.arange(30), np.arange(30)[::-1] % 16
    same(rollout(Dice(3), world, seed, user=user, batch=7), one_by_one(Dice(3), world, seed, user))


class FirstCandidate:
    """Shows the first candidate, whose number depends on the user's luck and history."""

    def start(self, n: int) -> tuple[()]:
        return ()

    def act(self, observation: Observation, memory: object, noise: object) -> Choice:
        return Choice(observation.candidate[:, :1], np.full(len(observation.candidate), np.nan), ())


def test_candidates_and_observations_move_along_with_their_user(default_world: Simulator) -> None:
    world = Simulator(default_world.users, default_world.catalog, session=Patience(base_hazard=0.1), visits=2,
                      candidates=SampledCandidates(5), max_steps=40)  # fmt: skip
    logs = [rollout(FirstCandidate(), world, np.arange(30), observations=True, batch=b) for b in (1, 8, 30)]
    same(logs[0], logs[1])
    same(logs[0], logs[2])
    assert np.isnan(logs[0].array("propensity")).all()


def test_observations_are_what_was_seen_before_and_the_final_one_after() -> None:
    world = counting(session=FixedLength(2))
    log = rollout(InTurn(), world, np.array([3, 4]), user=np.array([5, 6]), observations=True, batch=1)
    assert log.observations()[:, :2].tolist() == [[5, 0], [5, 1], [6, 0], [6, 1]], "the profile: person and count"
    final = log.table[FINAL_OBSERVATION]
    assert final.is_null().to_list() == [True, False, True, False]
    assert [row[:2] for row in final.drop_nulls().to_list()] == [[5, 2], [6, 2]]
    crowd = world.start(np.array([4]), 0, np.array([6]))
    for item in (0, 1):
        world.step(crowd, np.array([[item]]))
    np.testing.assert_array_equal(np.array(final[3]), world.flat(crowd)[0])


def test_a_log_with_observations_can_be_saved_and_loaded(tmp_path: object) -> None:
    log = rollout(InTurn(), counting(), np.arange(5), observations=True)
    log.save(tmp_path / "log.parquet")  # type: ignore[operator]
    same(log, InteractionLog.load(tmp_path / "log.parquet"))  # type: ignore[operator]


def test_two_policies_meet_the_same_users_with_the_same_luck() -> None:
    """`lucky` is a coin of the user: it does not depend on what is shown, nor on what the policy draws."""
    a = rollout(Dice(), counting(session=FixedLength(30)), np.arange(20))
    b = rollout(InTurn(first=3), counting(session=FixedLength(30)), np.arange(20))
    assert (a.array("item") != b.array("item")).mean() > 0.5
    assert (a.array("user") == b.array("user")).all()
    assert (a.array("lucky") == b.array("lucky")).all()
    assert 0.4 < a.array("lucky").mean() < 0.6


def test_episode_changes_the_luck_and_can_differ_by_row() -> None:
    world = counting(session=FixedLength(40))
    first, second = (rollout(Dice(), world, np.array([1]), episode=e) for e in (0, 1))
    assert (first.array("lucky") != second.array("lucky")).any()
    both = rollout(Dice(), world, np.array([1, 1]), episode=np.array([0, 1]))
    assert both.array("lucky").tolist() == [*first.array("lucky"), *second.array("lucky")]
    assert both.array("episode").tolist() == [0] * 40 + [1] * 40


def test_progress_counts_up_to_everybody() -> None:
    told: list[int] = []
    rollout(InTurn(), counting(session=LengthByPatience()), np.arange(16), user=np.arange(16), batch=5,
            progress=told.append)  # fmt: skip
    assert told == sorted(set(told))
    assert told[-1] == 16


class Oracle(InTurn):
    """Shows item (person % 8), which only somebody who looks into the simulator knows."""

    looks: list[int]

    def look(self, simulator: Simulator, crowd: Crowd) -> None:
        self.person = crowd.user.copy()
        self.looks = [*getattr(self, "looks", []), len(crowd)]

    def act(self, observation: Observation, memory: object, noise: object) -> Choice:
        return Choice((self.person[:, None] % N_ITEMS).astype(np.int32), np.zeros(len(self.person)), memory)


def test_a_privileged_policy_looks_before_each_choice() -> None:
    oracle = Oracle()
    log = rollout(oracle, counting(session=LengthByPatience()), np.arange(16), user=np.arange(16), batch=4)
    assert (log.array("item") == log.array("user") % N_ITEMS).all()
    assert max(oracle.looks) == 4


class Misbehaved(InTurn):
    """Answers with what it is told to."""

    def __init__(self, **answer: object) -> None:
        super().__init__()
        self.answer = answer

    def act(self, observation: Observation, memory: object, noise: object) -> Choice:
        memory = self.start(len(observation.profile))
        return super().act(observation, memory, noise)._replace(**self.answer)  # type: ignore[arg-type]


class Strange(NamedTuple):
    count: object


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"item": np.zeros((1, 1), np.int32)}, WrongShape, r"\(1, 1\).*\(3, 1\)"),
        ({"item": np.full((3, 1), 8)}, WrongAction, r"items are 0\.\.7"),
        ({"log_prob": np.zeros((3, 1))}, WrongShape, r"log_prob has shape \(3, 1\); \(3,\)"),
        ({"log_prob": np.array([0.0, 0.5, 0.0])}, WrongSetting, "row 1.*at most 0"),
        ({"log_prob": np.array([0.0, 0.0, -np.inf])}, WrongSetting, "row 2.*finite"),
        ({"memory": Strange([1, 2, 3])}, RecGymError, "a list came in the memory"),
    ],
)
def test_a_policy_that_misbehaves_is_told_how(answer: dict[str, object], kind: type, message: str) -> None:
    policy, world = Misbehaved(**answer), counting(session=LengthByPatience())
    with pytest.raises(kind, match=message):
        rollout(policy, world, np.arange(4), user=np.arange(4), batch=3)


def test_rounding_above_one_is_no_mistake() -> None:
    log = rollout(Misbehaved(log_prob=np.array([1e-7])), counting(), np.array([0]))
    assert (log.array("propensity") == 1).all()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"seed": np.zeros(0, np.int64)}, WrongShape, r"\(0,\).*np.arange"),
        ({"seed": np.array([0.5])}, WrongShape, "float64"),
        ({"seed": np.array([[1]])}, WrongShape, r"\(1, 1\)"),
        ({"user": np.array([1, 2])}, WrongShape, r"user has shape \(2,\).*\(3,\)"),
        ({"user": np.array([0, 1, 99])}, WrongSetting, "99"),
        ({"episode": np.array([1, 2])}, WrongShape, "episode has shape"),
        ({"episode": 0.5}, WrongShape, "episode has shape"),
        ({"batch": 0}, WrongSetting, "batch is 0"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, object], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        rollout(InTurn(), counting(), **({"seed": np.arange(3)} | change))  # type: ignore[arg-type]
