"""Time, luck and bookkeeping: the same session in every batch, on both paths, in every process, and as recorded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fakes import CountingUsers, LengthByPatience, counting_catalog

import recgym
from recgym.candidates import RetrievedCandidates, SampledCandidates
from recgym.catalog import Catalog
from recgym.errors import BrokenUserModel, UnknownName, WrongAction, WrongSetting, WrongShape
from recgym.feedback import Response
from recgym.noise import Noise
from recgym.objective import Objective
from recgym.session import FixedLength, Patience
from recgym.simulator import PROFILE_BOUND, Crowd, Simulator, Turn
from recgym.users.calibrated import CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog

GOLDEN = Path(__file__).with_name("golden")
World = Callable[..., Simulator]
SHORT = Patience(base_hazard=0.08)


class ByParts(CalibratedUsers):
    """The same users, which the simulator does not recognise: it asks them one method after the other."""


class OtherPatience(Patience):
    """The same sessions, which the simulator does not recognise."""


def slate(simulator: Simulator, crowd: Crowd) -> np.ndarray:
    """(n, k) int32: distinct items, a pure function of each user's luck and of the candidates."""
    draw = (crowd.noise().uniform("policy")[:, :1] * simulator.n_actions).astype(np.int64)
    place = (draw + 7 * np.arange(simulator.slate_size)) % simulator.n_actions
    item = np.take_along_axis(crowd.candidate, place, axis=1) if simulator.candidates.size else place
    return item.astype(np.int32)


def columns(turn: Turn) -> dict[str, np.ndarray]:
    flat = {**turn._asdict(), **turn.response._asdict(), **{f"cost_{k}": v for k, v in turn.cost.items()}}
    return {name: value for name, value in flat.items() if isinstance(value, np.ndarray)}


def trace(simulator: Simulator, seed: np.ndarray, steps: int, episode: np.ndarray | int = 0) -> dict[str, np.ndarray]:
    """Everything that can be seen of some users in so many steps, (n, steps, ...); who is done begins anew."""
    crowd = simulator.start(seed, episode)
    rows = []
    for _ in range(steps):
        turn = simulator.step(crowd, slate(simulator, crowd))
        seen = columns(turn) | simulator.observe(crowd)._asdict()
        done = np.flatnonzero(turn.terminated | turn.truncated)
        if len(done):
            simulator.restart(crowd, done)
        state = {f"state_{i}": np.array(column) for i, column in enumerate(crowd.state)}
        own = {
            name: np.array(getattr(crowd, name)) for name in ("user", "episode", "step", "session", "visit", "clock_h")
        }
        after = {f"after_{name}": value for name, value in simulator.observe(crowd)._asdict().items()}
        rows.append(seen | state | own | after)
    return {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}


def assert_equal_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].tobytes() == other[name].tobytes(), f"{name} differs"


WORLDS: dict[str, dict[str, Any]] = {
    "one": {},
    "slates": {"slate_size": 6},
    "visits": {"visits": 3},
    "slates and visits": {"slate_size": 6, "visits": 3},
    "sampled": {"candidates": SampledCandidates(12), "slate_size": 2},
    "retrieved": {"candidates": RetrievedCandidates(12), "visits": 2},
    "fixed length": {"session": FixedLength(7), "visits": 2},
}


# One pass, or part by part.


@pytest.mark.parametrize("by", ["users", "session", "both"])
@pytest.mark.parametrize("world", ["one", "slates", "visits", "slates and visits", "retrieved"])
def test_one_pass_is_the_same_as_part_by_part(
    lively_world: World, lively_users: CalibratedUsers, world: str, by: str
) -> None:
    settings = {"max_steps": 9, **WORLDS[world]}
    parted = ByParts(lively_users.population, lively_users.parameters)
    quick = lively_world(session=SHORT, **settings)
    slow = lively_world(
        users=lively_users if by == "session" else parted,
        session=SHORT if by == "users" else OtherPatience(base_hazard=0.08), **settings,
    )  # fmt: skip
    seed = np.arange(150)  # more than one block of the compiled pass
    one, other = trace(quick, seed, 100), trace(slow, seed, 100)
    assert_equal_bits(one, other)
    assert one["terminated"].any()
    assert one["truncated"].any()


def test_one_pass_is_taken_where_it_should_be(lively_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above compares the slow path with itself."""
    calls = []
    monkeypatch.setattr(Simulator, "_step_by_parts", lambda *_: calls.append(1))
    world = lively_world()
    world.step(world.start(np.arange(3)), np.zeros((3, 1), np.int32))
    assert not calls


# Batches.


@pytest.mark.parametrize("world", WORLDS)
def test_together_alone_reversed_and_split_are_the_same_bits(lively_world: World, world: str) -> None:
    simulator = lively_world(**{"session": SHORT, "max_steps": 25, **WORLDS[world]})
    seed, episode = np.random.default_rng(3).integers(0, 2**62, 21), np.arange(21) % 3
    whole = trace(simulator, seed, 50, episode)
    assert whole["terminated"].sum() > 10

    def of(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value[rows] for name, value in whole.items()}

    for rows in (np.arange(21)[::-1], np.arange(8), np.arange(8, 21), np.array([0]), np.array([20]), np.array([5, 3])):
        assert_equal_bits(trace(simulator, seed[rows], 50, episode[rows]), of(rows))


def test_one_seed_twice_is_one_session_twice(lively_world: World) -> None:
    seen = trace(lively_world(session=SHORT), np.array([4, 9, 4]), 60)
    assert_equal_bits({k: v[0] for k, v in seen.items()}, {k: v[2] for k, v in seen.items()})
    assert seen["watch_time_s"][0].tolist() != seen["watch_time_s"][1].tolist()


def test_another_episode_is_another_person_with_another_luck(lively_world: World) -> None:
    crowd = lively_world().start(np.full(200, 5), np.arange(200))
    assert len(np.unique(crowd.user)) > 100
    assert len(np.unique(crowd.clock_h)) > 190


def test_nobody_can_be_simulated(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(5))
    crowd = simulator.start(np.zeros(0, np.int64))
    turn = simulator.step(crowd, np.zeros((0, 1), np.int32))
    assert turn.reward.shape == (0,)
    assert simulator.flat(crowd).shape[0] == 0


def digest(seed: int) -> str:
    """A fingerprint of ten users' sessions, printed by the other process too."""
    users = calibrated_users(50)
    simulator = Simulator(users, synthetic_catalog(80), session=SHORT, slate_size=2, visits=2, max_steps=20)
    seen = trace(simulator, np.arange(seed, seed + 10), 40)
    return hashlib.sha256(b"".join(seen[name].tobytes() for name in sorted(seen))).hexdigest()


def test_another_process_sees_the_same_sessions() -> None:
    code = "import test_simulator; print(test_simulator.digest(77))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert other.stdout.strip() == digest(77)
    assert digest(78) != digest(77)


@pytest.mark.slow
def test_an_edited_kernel_reaches_its_compiled_callers(tmp_path: Path) -> None:
    """A rule is changed in objective.py, whose loop is compiled into bookkeeping.py's: does the next process obey?"""
    source = Path(recgym.__file__).parent
    shutil.copytree(source, tmp_path / "recgym", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import test_simulator as t; print(float(t.play(t.counting(), [0], 1)[1][0].total[0, -2]))"
    path = os.pathsep.join([str(tmp_path), str(source.parent / "envs"), str(Path(__file__).parent)])

    def skips() -> str:
        """Whether the first play, of 0 seconds, is a skip."""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path)  # fmt: skip
        return done.stdout.strip()

    assert skips() == "1.0"
    edited = tmp_path / "recgym" / "objective.py"
    edited.write_text(
        edited.read_text(encoding="utf-8").replace("QUICK_SKIP_S = 3.0", "QUICK_SKIP_S = -1.0"), encoding="utf-8"
    )
    assert skips() == "0.0"


# Time.


def counting(**settings: Any) -> Simulator:
    return Simulator(CountingUsers(), counting_catalog(), **({"objective": Objective(costs=())} | settings))


def play(simulator: Simulator, user: list[int], steps: int) -> tuple[Crowd, list[Turn]]:
    crowd = simulator.start(np.arange(len(user)), 0, np.array(user))
    item = np.broadcast_to(np.arange(simulator.slate_size, dtype=np.int32), (len(user), simulator.slate_size))
    return crowd, [simulator.step(crowd, item) for _ in range(steps)]


def flags(turns: list[Turn], name: str) -> list[list[bool]]:
    """One list per user, one entry per step."""
    return np.stack([getattr(turn, name) for turn in turns], axis=1).tolist()  # type: ignore[no-any-return]


def test_who_leaves_for_good_is_terminated_and_who_is_watched_no_longer_is_truncated() -> None:
    """Person u stays u + 1 exposures; nobody is watched for more than 3."""
    _, turns = play(counting(session=LengthByPatience(), max_steps=3), [0, 1, 2, 5], 3)
    yes, no = True, False
    assert flags(turns[:1], "terminated") == [[yes], [no], [no], [no]]
    assert flags(turns, "terminated")[1:] == [[no, yes, yes], [no, no, yes], [no, no, no]]
    assert flags(turns, "truncated")[1:] == [[no, no, no], [no, no, no], [no, no, yes]], (
        "leaving comes before truncation"
    )
    assert [turn.return_gap_days[3] for turn in turns] == [0, 0, 0]
    assert turns[1].return_gap_days[1] >= 1


@pytest.mark.parametrize(("k", "exposures", "steps"), [(1, 5, 5), (2, 5, 3), (6, 5, 1), (3, 9, 3)])
def test_a_fixed_length_is_kept_exactly(k: int, exposures: int, steps: int) -> None:
    _, turns = play(counting(session=FixedLength(exposures), slate_size=k), [1, 6], steps)
    assert flags(turns, "terminated") == [[False] * (steps - 1) + [True]] * 2


def test_visits_follow_each_other() -> None:
    """Two visits of two exposures: person 3 watches 3 s, 4 s, goes, comes back rested and watches 3 s, 4 s again."""
    simulator = counting(session=FixedLength(2), visits=2)
    crowd = simulator.start(np.array([8]), 0, np.array([3]))
    began = crowd.clock_h.copy()
    turns, seen = [], []
    for _ in range(4):
        turns.append(simulator.step(crowd, np.zeros((1, 1), np.int32)))
        seen.append(simulator.observe(crowd))
    assert flags(turns, "left") == [[False, True, False, True]]
    assert flags(turns, "terminated") == [[False, False, False, True]]
    assert [float(turn.total[0, 0]) for turn in turns] == [3, 4, 3, 4], "the visits before were slept off"
    gap = float(turns[1].return_gap_days[0])
    assert gap == round(gap) >= 1
    assert turns[3].return_gap_days[0] >= 1
    seconds = 3 + 4 + 3 + 4 + 4 * 1
    np.testing.assert_allclose(crowd.clock_h - began, 24 * gap + seconds / 3600, rtol=1e-4)
    assert [float(one.context[0, 0]) for one in seen] == pytest.approx([0.02, 0, 0.02, 0.04]), (
        "the count of exposures starts anew, and the last observation is that of the visit that ended"
    )
    assert [float(one.context[0, 1]) for one in seen] == pytest.approx([0, 0.1, 0.1, 0.2])
    assert [float(one.context[0, 4]) for one in seen] == pytest.approx([0, *[np.log1p(gap) / 4] * 3])
    assert crowd.seconds_watched.tolist() == [14]


def test_days_away_are_drawn_by_the_luck_of_the_step_in_which_the_user_leaves(lively_world: World) -> None:
    """And shown only where somebody left."""
    simulator = lively_world(session=FixedLength(3), visits=5)
    crowd = simulator.start(np.arange(40))
    for step in range(15):
        state, habits = crowd.session.copy(), crowd.habits
        turn = simulator.step(crowd, np.full((40, 1), step, np.int32))
        wanted = simulator.session.return_gap_days(state, habits, Noise.of(crowd.seed, crowd.episode, step))
        np.testing.assert_array_equal(turn.return_gap_days, wanted if step % 3 == 2 else np.zeros(40))


def test_a_day_away_ends_fatigue_and_boredom(lively_world: World) -> None:
    simulator = lively_world(session=FixedLength(3), visits=2)
    crowd, turns = play(simulator, [5, 6], 3)
    assert all(turns[2].left)
    assert (crowd.state.exposures == 0).all()
    assert (crowd.state.recent_tag == -1).all()
    assert (crowd.state.shown == 3).all()
    assert (crowd.recorder.count == 3).all(), "the platform's memory stays"


def test_the_terminal_observation_belongs_to_who_left(lively_world: World) -> None:
    simulator = lively_world(session=FixedLength(4))
    crowd, before = simulator.start(np.arange(3)), None
    for step in range(4):
        before = simulator.observe(crowd)
        turn = simulator.step(crowd, np.full((3, 1), 10 + step, np.int32))
    last = simulator.observe(crowd)
    assert turn.terminated.all()
    np.testing.assert_array_equal(last.profile, before.profile)
    assert last.history_item[:, -4:].tolist() == [[10, 11, 12, 13]] * 3
    np.testing.assert_array_equal(last.history_watch_time_s[:, -1], turn.response.watch_time_s[:, 0])
    simulator.restart(crowd, np.array([1]))
    anew = simulator.observe(crowd)
    assert (anew.history_item[1] == -1).all()
    assert (anew.flat[1, -54:] == 0).all()
    np.testing.assert_array_equal(anew.flat[[0, 2]], last.flat[[0, 2]])
    assert crowd.episode.tolist() == [0, 1, 0]
    assert crowd.step.tolist() == [4, 0, 4]


def test_restart_begins_what_start_begins(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(6), session=SHORT)
    crowd = simulator.start(np.arange(5), 3)
    for _ in range(9):
        simulator.step(crowd, slate(simulator, crowd))
    simulator.restart(crowd, np.arange(5))
    fresh = simulator.start(np.arange(5), 4)
    for one, other in zip(simulator.observe(crowd), simulator.observe(fresh), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(crowd.state, fresh.state, strict=True):
        np.testing.assert_array_equal(one, other)
    chosen = simulator.start(np.arange(5), 0, np.array([7, 7, 0, 1, 199]))
    assert chosen.user.tolist() == [7, 7, 0, 1, 199]


def test_persons_are_drawn_uniformly(embedded_world: Simulator) -> None:
    user = embedded_world.start(np.arange(54_000)).user
    count = np.histogram(user, 27, (0, 27_000))[0]
    assert ((count - 2000) ** 2 / 2000).sum() < 54, "chi-square with 26 degrees of freedom, p = .001"
    assert user.min() < 5
    assert user.max() > 26_990


def test_the_clock_still_runs_after_many_visits() -> None:
    simulator = counting(session=FixedLength(60), visits=9)
    crowd = simulator.start(np.array([8]), 0, np.array([0]))
    crowd.clock_h[:] = 24 * 365 * 3
    for _ in range(50):
        simulator.step(crowd, np.zeros((1, 1), np.int32))
    seconds = float(crowd.seconds_watched[0]) + 50
    assert (float(crowd.clock_h[0]) - 24 * 365 * 3) * 3600 == pytest.approx(seconds, rel=0.01)


# Bad input.


def test_wrong_settings_say_what_is_allowed(lively_world: World) -> None:
    for settings, kind, message in (
        ({"slate_size": 0}, WrongSetting, "slate_size is 0; it must lie between 1 and the 120 candidates"),
        ({"slate_size": 7, "candidates": SampledCandidates(6)}, WrongSetting, "between 1 and the 6 candidates"),
        ({"visits": 0}, WrongSetting, "visits=0, max_steps=500: both must be at least 1"),
        ({"max_steps": 0}, WrongSetting, "max_steps=0"),
        ({"objective": Objective(reward={"likes": 1})}, UnknownName, "no signal called 'likes'. Did you mean 'like'?"),
    ):
        with pytest.raises(kind, match=message):
            lively_world(**settings)


def test_wrong_slates_say_what_is_needed(lively_world: World) -> None:
    simulator = lively_world(slate_size=2)
    crowd = simulator.start(np.arange(3))
    good = np.tile(np.array([[1, 2]]), (3, 1))
    for item, kind, message in (
        (good[:2], WrongShape, r"shape \(2, 2\) and type int64; \(3, 2\) whole numbers are needed"),
        (good[:, :1], WrongShape, r"shape \(3, 1\)"),
        (good.astype(float), WrongShape, "type float64"),
        (good == 1, WrongShape, "type bool"),
        (np.array([[1, 2], [3, 120], [1, 2]]), WrongAction, r"row 1: slate \[3, 120\]; items are 0..119"),
        (np.array([[1, 2], [1, 2], [-1, 2]]), WrongAction, r"row 2: slate \[-1, 2\]"),
        (np.array([[5, 5], [1, 2], [1, 2]]), WrongAction, r"row 0: slate \[5, 5\]; .* each at most once"),
    ):
        with pytest.raises(kind, match=message):
            simulator.step(crowd, item)
    assert (crowd.step == 0).all(), "nothing happened"


@pytest.mark.parametrize("item", [2**32 + 5, -(2**32) + 5])
def test_items_beyond_int32_are_refused(lively_world: World, item: int) -> None:
    simulator = lively_world()
    with pytest.raises(WrongAction):
        simulator.step(simulator.start(np.arange(1)), np.array([[item]]))


def test_what_was_shown_does_not_change_with_the_callers_array(lively_world: World) -> None:
    simulator, item = lively_world(), np.full((1, 1), 5, np.int32)
    turn = simulator.step(simulator.start(np.arange(1)), item)
    item[:] = 9
    assert turn.item.tolist() == [[5]]


def test_wrong_persons_are_refused(lively_world: World) -> None:
    for user, kind, message in (
        (np.array([0, 200]), WrongSetting, "user holds 0..200; persons are 0..199"),
        (np.array([-1, 0]), WrongSetting, "user holds -1..0"),
        (np.array([0.0, 1.0]), WrongShape, "type float64"),
        (np.array([1]), WrongShape, r"shape \(1,\), type int64; \(2,\) whole numbers are needed"),
    ):
        with pytest.raises(kind, match=message):
            lively_world().start(np.arange(2), 0, user)


class Answers(NamedTuple):
    """What a broken user model gives back."""

    watch: Callable[[np.ndarray], Any] = lambda watch: watch
    feedback: Callable[[np.ndarray], Any] = lambda feedback: feedback
    profile: Callable[[np.ndarray], Any] = lambda profile: profile


class Broken(CountingUsers):
    """Counting users whose answers are spoilt on the way out, from the second step on."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers

    def respond(self, state: Any, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        watch, feedback = super().respond(state, item, catalog, noise)
        if noise.step[0] < 1:
            return Response(watch, feedback)
        return Response(self.answers.watch(watch), self.answers.feedback(feedback))

    def observe(self, state: Any) -> Any:
        profile = super().observe(state)
        return self.answers.profile(profile) if state.shown[0] else profile


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[1] = value
    return array


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (Answers(watch=lambda w: spoilt(w, np.nan)), r"watch_time_s \[nan\] to row 1; seconds from 0 to 1e\+06 are"),
        (Answers(watch=lambda w: spoilt(w, np.inf)), r"\[inf\] to row 1"),
        (Answers(watch=lambda w: spoilt(w, -1)), r"\[-1.0\] to row 1"),
        (Answers(watch=lambda w: spoilt(w, 1.1e6)), r"\[1100000.0\] to row 1; seconds from 0 to 1e\+06"),
        (Answers(watch=lambda w: w[:, 0]), r"watch_time_s \(3,\) float32 .* needed are \(3, 1\) float32"),
        (Answers(watch=lambda w: w.astype(float)), r"watch_time_s \(3, 1\) float64"),
        (Answers(feedback=lambda f: f[..., :2]), r"feedback \(3, 1, 2\) bool; .*\(3, 1, 3\) bool"),
        (Answers(feedback=lambda f: f.astype(float)), r"feedback \(3, 1, 3\) float64"),
        (Answers(profile=lambda p: spoilt(p, np.nan)), r"observe gave \[nan, nan\] to row 1"),
        (Answers(profile=lambda p: spoilt(p, 1e7)), r"to row 1; numbers between -1e\+06 and 1e\+06 are needed"),
        (Answers(profile=lambda p: p[:, 0]), r"observe gave shape \(3,\)"),
        (Answers(profile=lambda p: p[:2]), r"observe gave shape \(2, 2\)"),
        (Answers(profile=lambda p: p.astype(float)), r"type float64; \(3, [P2]\) float32 is needed"),
    ],
)  # fmt: skip
def test_broken_user_models_are_named(answers: Answers, message: str) -> None:
    simulator = Simulator(Broken(answers), counting_catalog(), objective=Objective(costs=()))
    crowd, item = simulator.start(np.arange(3)), np.zeros((3, 1), np.int32)

    def two_steps() -> None:
        for _ in range(2):
            simulator.step(crowd, item)

    with pytest.raises(BrokenUserModel, match="Broken.(respond|observe) gave .*" + message.split(" gave ")[-1]):
        two_steps()


def test_the_largest_seconds_fit_into_the_observation_space() -> None:
    simulator = Simulator(Broken(Answers(watch=lambda w: spoilt(w, 1e6))), counting_catalog(),
                          objective=Objective(costs=()))  # fmt: skip
    crowd, item = simulator.start(np.arange(3)), np.zeros((3, 1), np.int32)
    for _ in range(3):
        simulator.step(crowd, item)
    observed = simulator.observe(crowd)
    assert observed.history_watch_time_s.max() == 1e6 == PROFILE_BOUND
    assert np.isfinite(observed.flat).all()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((np.zeros((3, 1), np.float32), np.zeros((3, 1, 3), bool)), "tuple"), (None, "NoneType"),
        (Response([[0.0]] * 3, np.zeros((3, 1, 3), bool)), "Response"),  # type: ignore[arg-type]
        (Response(np.zeros((3, 1), np.float32), None), "Response"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_an_answer_that_is_no_response_is_named(answer: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountingUsers, "respond", lambda *_: answer)
    simulator = counting()
    with pytest.raises(BrokenUserModel, match=rf"CountingUsers.respond gave {kind}; a Response of two arrays"):
        simulator.step(simulator.start(np.arange(3)), np.zeros((3, 1), np.int32))


class Shown(NamedTuple):
    """A state with one field too few to be CountingState."""

    shown: Any


@pytest.mark.parametrize("method", ["start", "change"])
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ((np.zeros(3), np.zeros(3)), "gave a tuple as state; a NamedTuple of arrays is needed"),
        ({"shown": np.zeros(3)}, "gave a dict as state"),
        (None, "gave a NoneType as state"),
        (Shown([0, 0, 0]), "'s state has shown list; an array of 3 rows is needed"),
        (Shown(np.zeros(2)), r"'s state has shown \(2,\); an array of 3 rows"),
        (Shown(np.zeros(())), r"'s state has shown \(\); an array of 3 rows"),
    ],
)
def test_a_state_that_is_none_is_named(method: str, state: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = counting()
    good = simulator.start(np.arange(3))
    monkeypatch.setattr(CountingUsers, method, lambda *_: state)
    with pytest.raises(BrokenUserModel, match="CountingUsers.*" + message):
        simulator.step(good if method == "change" else simulator.start(np.arange(3)), np.zeros((3, 1), np.int32))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("like", "like", "hate"), r"feedback is \('like', 'like', 'hate'\); each name may stand there once"),
        *((("a", name, "b"), f"feedback holds '{name}'; an identifier is needed") for name in (
            "skip", "early_exit", "watch_time_s", "item", "left", "return_gap_days", "user", "episode",
            "slate_watch_time_s", "slate_feedback", "reward", "cost_a", "thumb up", "")),
        ((1, "a", "b"), "feedback holds 1; an identifier"),
    ],
)  # fmt: skip
def test_feedback_names_that_collide_are_refused(
    names: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountingUsers, "feedback", names)
    with pytest.raises(WrongSetting, match="CountingUsers." + message):
        counting()


def test_a_subclass_with_a_moving_profile_is_observed_anew(lively_world: World, lively_users: CalibratedUsers) -> None:
    class Counting(CalibratedUsers):
        def observe(self, state: Any) -> np.ndarray:
            return state.shown[:, None].astype(np.float32)  # type: ignore[no-any-return]

    crowd, _ = play(lively_world(users=Counting(lively_users.population, lively_users.parameters)), [1, 2], 3)
    assert crowd.profile.tolist() == [[3], [3]]


@pytest.mark.parametrize("width", [1, 3])
def test_a_profile_that_changes_its_width_is_named(width: int) -> None:
    answers = Answers(profile=lambda profile: np.zeros((len(profile), width), np.float32))
    simulator = Simulator(Broken(answers), counting_catalog(), objective=Objective(costs=()))
    crowd = simulator.start(np.arange(3))
    with pytest.raises(BrokenUserModel, match=rf"observe gave shape \(3, {width}\)"):
        simulator.step(crowd, np.zeros((3, 1), np.int32))


def test_the_state_of_a_subclass_is_not_written_to(lively_world: World, lively_users: CalibratedUsers) -> None:
    """It may look into the population, as here: new episodes must not be written there."""

    class Sharing(CalibratedUsers):
        def start(self, user: np.ndarray, noise: Noise) -> Any:
            whole = self.population.trait[user[0] : user[0] + len(user)]
            return super().start(user, noise)._replace(trait=whole)

    people = replace(lively_users.population, trait=lively_users.population.trait.copy())
    simulator = lively_world(users=Sharing(people, lively_users.parameters))
    crowd = simulator.start(np.arange(4), 0, np.arange(4))
    assert np.shares_memory(crowd.state.trait, people.trait)
    simulator.restart(crowd, np.array([0]), np.array([9]))
    np.testing.assert_array_equal(people.trait, lively_users.population.trait)
    np.testing.assert_array_equal(crowd.state.trait, people.trait[[9, 1, 2, 3]])


# Recorded sessions.


def golden_world(name: str) -> Simulator:
    users, catalog = calibrated_users(), synthetic_catalog()
    if name == "short_video":
        return Simulator(users, catalog)
    return Simulator(users, catalog, slate_size=6, visits=2, candidates=RetrievedCandidates(50), max_steps=25)


def recorded(simulator: Simulator) -> dict[str, Any]:
    """Three users, 25 steps, everything that can be written down."""
    seen = trace(simulator, np.array([0, 1, 2**40]), 25)
    exact = ("item", "feedback", "terminated", "truncated", "left", "user", "return_gap_days")
    near = ("watch_time_s", "reward", "clock_h")
    out: dict[str, Any] = {name: seen[name].astype(int).tolist() for name in exact}
    out |= {name: np.round(seen[name].astype(float), 4).tolist() for name in near}
    out["flat_sum"] = np.round(seen["flat"].astype(float).sum(axis=2), 3).tolist()
    return out


@pytest.mark.parametrize("name", ["short_video", "slate_feed"])
def test_sessions_are_those_on_record(name: str, request: pytest.FixtureRequest) -> None:
    """A change here changes every published number: decide it, say it in the changelog, then --record-golden."""
    path, now = GOLDEN / f"{name}.json", recorded(golden_world(name))
    if request.config.getoption("--record-golden"):
        path.write_text(json.dumps(now, separators=(",", ":")) + "\n", encoding="utf-8")
    then = json.loads(path.read_text(encoding="utf-8"))
    assert now.keys() == then.keys()
    for key, value in then.items():
        np.testing.assert_allclose(now[key], value, rtol=1e-4, atol=2e-3, err_msg=key)
