"""The default world shows the published rates: a random policy those of the random log, a good one its head-room.

Every person of the population plays exactly once (27,000 sessions of about 33 exposures), so that the large differences
between persons add little error. Standard deviation of a rate over other luck, as a share of it, measured: click 0.4 %,
long view 0.5 %, complete 0.8 %, like 2.0 %, hate 2.6 %, follow 3.2 %, comment 4.5 %, forward 5.6 %; over other
people and videos: like 4 %, follow 7 %, all others about the same. The tolerances are 10 % and 25 %.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recgym.simulator import Crowd, Simulator
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import HEAD_ROOM, RANDOM_RATE
from recgym.users.synthetic import synthetic_catalog

Choose = Callable[[Simulator, Crowd], np.ndarray]


def rates(simulator: Simulator, choose: Choose, user: np.ndarray, episode: int = 0) -> tuple[dict[str, float], float]:
    """Rate per exposure of each feedback and of complete plays, and the mean number of exposures of a session."""
    crowd = simulator.start(user, episode, user)
    going, total, exposures = np.arange(len(user)), np.zeros(8), 0
    while len(going):
        turn = simulator.step(crowd, choose(simulator, crowd))
        watch, duration = turn.response.watch_time_s[going, 0], simulator.catalog.duration_s[turn.item[going, 0]]
        total[:7] += turn.response.feedback[going, 0].sum(axis=0)
        total[7] += (watch >= duration).sum()
        exposures += len(going)
        going = going[~(turn.terminated | turn.truncated)[going]]
        if len(going) < 0.7 * len(crowd):  # who is done is not simulated any further
            crowd, going = only(simulator, crowd, going), np.arange(len(going))
    names = [*simulator.users.feedback, "complete"]
    return dict(zip(names, (total / exposures).tolist(), strict=True)), exposures / len(user)


def only(simulator: Simulator, crowd: Crowd, rows: np.ndarray) -> Crowd:
    """The same sessions of some of the users."""
    out = simulator.start(crowd.seed[rows], crowd.episode[rows], crowd.user[rows])
    for name in (
        "step",
        "key",
        "user",
        "session",
        "visit",
        "clock_h",
        "days_away",
        "seconds_watched",
        "candidate",
    ):
        setattr(out, name, getattr(crowd, name)[rows].copy())
    out.state = type(crowd.state)(*(column[rows] for column in crowd.state))
    out.habits = type(crowd.habits)(*(column[rows] for column in crowd.habits))
    for name in ("item", "watch_time_s", "feedback", "table", "count"):
        getattr(out.recorder, name)[:] = getattr(crowd.recorder, name)[rows]
    return out


def at_random(simulator: Simulator, crowd: Crowd) -> np.ndarray:
    return (crowd.noise().uniform("policy") * len(simulator.catalog)).astype(np.int32)


def greedy(simulator: Simulator, crowd: Crowd) -> np.ndarray:
    """The oracle of one step: the item of the whole catalogue with the largest expected watch time."""
    return simulator.users.expect_watch_time_s(crowd.state, simulator.catalog).argmax(axis=1)[:, None].astype(np.int32)


def assert_random_rates(found: dict[str, float]) -> None:
    for name, wanted in RANDOM_RATE.items():
        tolerance = 0.10 if name in ("click", "long_view", "complete", "like") else 0.25
        assert abs(found[name] / wanted - 1) < tolerance, f"{name}: {found[name]:.6f}, the random log says {wanted:.6f}"


def test_a_random_policy_shows_the_rates_of_the_random_log(embedded_world: Simulator) -> None:
    found, depth = rates(embedded_world, at_random, np.arange(27_000))
    assert_random_rates(found)
    assert 25 < depth < 60


def test_other_people_and_videos_show_the_same_rates() -> None:
    world = Simulator(calibrated_users(seed=11), synthetic_catalog(seed=12))
    assert_random_rates(rates(world, at_random, np.arange(27_000))[0])


@pytest.mark.parametrize("seed", [0, 11])
def test_the_greedy_oracle_has_the_head_room_of_the_standard_log(embedded_world: Simulator, seed: int) -> None:
    world = Simulator(calibrated_users(seed=seed), synthetic_catalog(seed=seed)) if seed else embedded_world
    found, depth = rates(world, greedy, np.arange(0, 27_000, 450))
    assert found["click"] >= HEAD_ROOM * RANDOM_RATE["click"]
    assert depth > rates(world, at_random, np.arange(0, 27_000, 45))[1], "who is served well stays longer"


def test_hate_is_rare(embedded_world: Simulator) -> None:
    """The best-known peer simulates hate on 54 % of impressions; the log says 0.1 %."""
    found, _ = rates(embedded_world, at_random, np.arange(0, 27_000, 3), episode=1)
    assert 0.0005 < found["hate"] < 0.002
