"""The platform's memory against plain lists: every column of the flat encoding, and the history."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from recgym.candidates import SampledCandidates
from recgym.feedback import FEEDBACK
from recgym.observation import CONTEXT, HISTORY, flat_names
from recgym.session import FixedLength, Patience
from recgym.simulator import Crowd, Simulator

World = Callable[..., Simulator]


class Seen(NamedTuple):
    """One exposure of one user."""

    item: int
    watch_time_s: float
    feedback: list[bool]


def slow_flat(
    simulator: Simulator, profile: np.ndarray, context: list[float], past: list[Seen], candidate: list[int]
) -> dict[str, float]:
    """Every column by its name, from lists, in float64."""
    catalog, feedback = simulator.catalog, simulator.users.feedback
    vector, duration = catalog.vector.astype(float), catalog.duration_s.astype(float)
    out = {f"profile_{j}": float(value) for j, value in enumerate(profile)}
    out |= dict(zip(CONTEXT, context, strict=True))
    last = past[-1] if past else None
    mean, liked, rate = np.zeros(vector.shape[1]), np.zeros(vector.shape[1]), np.zeros(len(feedback))
    for one in past:
        share = min(one.watch_time_s / duration[one.item], 1)
        mean, liked = 0.95 * mean + 0.05 * vector[one.item], 0.95 * liked + 0.05 * share * vector[one.item]
        rate = 0.95 * rate + 0.05 * np.array(one.feedback)
    for j in range(vector.shape[1]):
        out |= {
            f"last_vector_{j}": vector[last.item, j] if last else 0,
            f"mean_vector_{j}": mean[j],
            f"liked_vector_{j}": liked[j],
        }
    out["last_log_duration"] = math.log1p(duration[last.item]) / 5 if last else 0
    out["last_log_watch_time"] = math.log1p(last.watch_time_s) / 5 if last else 0
    out["last_completion"] = min(last.watch_time_s / duration[last.item], 3) if last else 0
    for f, name in enumerate(feedback):
        out |= {f"last_{name}": float(last.feedback[f]) if last else 0, f"rate_{name}": rate[f]}
    for ago in range(1, HISTORY + 1):
        out[f"log_watch_time_{ago}_ago"] = math.log1p(past[-ago].watch_time_s) / 5 if len(past) >= ago else 0
    for place, x in enumerate(candidate):
        out |= {f"candidate_{place}_{j}": value for j, value in enumerate([*vector[x], math.log1p(duration[x]) / 5])}
    return out


def names(simulator: Simulator, crowd: Crowd) -> list[str]:
    """Names of all flat columns; those of the candidates, which `flat_names` leaves out, are ours."""
    d = simulator.catalog.vector.shape[1]
    extra = [f"candidate_{place}_{j}" for place in range(simulator.candidates.size) for j in range(d + 1)]
    return [*flat_names(crowd.profile.shape[1], d, simulator.users.feedback), *extra]


@pytest.mark.parametrize(("k", "settings"), [(1, {}), (3, {"candidates": SampledCandidates(4)}), (6, {"visits": 4})])
def test_every_column_against_lists(lively_world: World, k: int, settings: dict[str, object]) -> None:
    """50 steps of 4 users, over several visits where there are some: rings that wrap around more than once."""
    simulator = lively_world(
        slate_size=k, session=FixedLength(40) if "visits" in settings else FixedLength(400), **settings
    )
    crowd, n, rng = simulator.start(np.arange(4)), 4, np.random.default_rng(0)
    past: list[list[Seen]] = [[] for _ in range(n)]
    exposures, visit, away, clock = np.zeros(n), np.zeros(n), np.zeros(n), crowd.clock_h.astype(float)
    wanted_names = names(simulator, crowd)
    for _ in range(50):
        observed = simulator.observe(crowd)
        assert observed.flat.shape == (n, len(wanted_names))
        for i in range(n):
            watched = sum(one.watch_time_s for one in past[i])
            hour = 2 * math.pi * clock[i] / 24
            context = [exposures[i] / 50, visit[i] / 10, math.sin(hour), math.cos(hour), math.log1p(away[i]) / 4,
                       math.log1p(watched) / 8]  # fmt: skip
            slow = slow_flat(simulator, observed.profile[i], context, past[i], crowd.candidate[i].tolist())
            assert set(slow) == set(wanted_names)
            np.testing.assert_allclose(
                observed.flat[i], [slow[name] for name in wanted_names], rtol=1e-5, atol=1e-3 if visit[i] else 2e-6
            )
            np.testing.assert_array_equal(
                observed.context[i], observed.flat[i, len(observed.profile[i]) :][: len(CONTEXT)]
            )
        assert_history(observed.history_item, observed.history_watch_time_s, observed.history_feedback, past)
        item = np.array([rng.permutation(len(simulator.catalog))[:k] for _ in range(n)], np.int32)
        turn = simulator.step(crowd, item)
        for i in range(n):
            answers = zip(item[i], turn.response.watch_time_s[i], turn.response.feedback[i], strict=True)
            past[i] += [Seen(int(x), float(w), f.tolist()) for x, w, f in answers]
        clock += (turn.response.watch_time_s.astype(float).sum(axis=1) + k) / 3600 + 24 * np.where(
            turn.terminated, 0, turn.return_gap_days
        )
        exposures += k
        back = turn.left & ~turn.terminated
        visit += turn.left
        exposures[back], away[back] = 0, turn.return_gap_days[back]
    assert (visit > 0).all() == ("visits" in settings)


def assert_history(item: np.ndarray, watch: np.ndarray, feedback: np.ndarray, past: list[list[Seen]]) -> None:
    nothing = Seen(-1, 0.0, [False] * len(FEEDBACK))
    for i, one in enumerate(past):
        last = ([nothing] * HISTORY + one)[-HISTORY:]
        assert item[i].tolist() == [seen.item for seen in last]
        assert watch[i].tolist() == [seen.watch_time_s for seen in last]
        assert feedback[i].tolist() == [seen.feedback for seen in last]


def test_before_anything_was_shown(lively_world: World) -> None:
    simulator = lively_world()
    crowd = simulator.start(np.arange(3))
    observed = simulator.observe(crowd)
    assert (observed.history_item == -1).all()
    assert not observed.history_feedback.any()
    assert (observed.history_watch_time_s == 0).all()
    assert observed.candidate.shape == (3, 0)
    assert (observed.flat[:, observed.profile.shape[1] + len(CONTEXT) :] == 0).all()
    np.testing.assert_array_equal(observed.flat[:, : observed.profile.shape[1]], observed.profile)


def test_observations_are_copies(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(5))
    crowd = simulator.start(np.arange(3))
    before = simulator.observe(crowd)
    kept = [column.copy() for column in before]
    simulator.step(crowd, np.zeros((3, 1), np.int32))
    for column, copy in zip(before, kept, strict=True):
        np.testing.assert_array_equal(column, copy)
    for column in before:
        column[:] = 1
    after = simulator.observe(crowd)
    simulator.step(crowd, np.ones((3, 1), np.int32))
    assert (after.candidate != 1).any()
    assert (crowd.profile != 1).any()


def test_observation_types_and_rows(lively_world: World) -> None:
    simulator = lively_world(candidates=SampledCandidates(5))
    crowd = simulator.start(np.arange(6))
    observed = simulator.observe(crowd)
    types = {name: column.dtype for name, column in observed._asdict().items()}
    assert types == {
        "profile": np.float32, "context": np.float32, "history_item": np.int32, "history_watch_time_s": np.float32,
        "history_feedback": np.bool_, "candidate": np.int32, "flat": np.float32,
    }  # fmt: skip
    some = observed.rows(np.array([4, 0]))
    for column, whole in zip(some, observed, strict=True):
        np.testing.assert_array_equal(column, whole[[4, 0]])


def test_nothing_latent_is_seen(lively_world: World) -> None:
    """Persons who differ in taste and traits alone look the same until they answer."""
    simulator = lively_world(session=Patience())
    crowd = simulator.start(np.array([1, 1]), 0, np.array([3, 3]))
    crowd.state.taste[0] = 9
    crowd.state.trait[0] = -9
    one, other = simulator.flat(crowd)
    np.testing.assert_array_equal(one, other)
