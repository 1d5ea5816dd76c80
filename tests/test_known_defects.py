"""Defects that were found in other simulators, each with a test that our default users and worlds do not have it.

Peers are named in the docstrings; what was read in which commit of theirs is in the project's note on peers.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import broken_fakes
import gymnasium as gym
import numpy as np
import pytest

import recgym
from recgym.conformance import untouched_chance
from recgym.errors import RecGymError, UnknownName
from recgym.noise import Noise
from recgym.objective import Objective
from recgym.session import FixedLength, Patience, Returns
from recgym.simulator import Crowd, Simulator
from recgym.testing import check_user_model
from recgym.user_model import Habits
from recgym.users.calibrated import WATCH, CalibratedUsers
from recgym.users.defaults import calibrated_users
from recgym.users.kuaishou import default_parameters
from recgym.users.synthetic import synthetic_catalog, synthetic_population

CATALOG = synthetic_catalog()
FEEDBACK = CalibratedUsers.feedback


def default_world(**settings: Any) -> Simulator:
    return Simulator(calibrated_users(), CATALOG, **settings)


def random_items(simulator: Simulator, n: int, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, len(simulator.catalog), (steps, n, 1)).astype(np.int32)


def best_items(simulator: Simulator, crowd: Crowd) -> np.ndarray:
    """(n, 1) int32: what each user would watch longest, by the users' own expectation."""
    seconds = simulator.users.expect_watch_time_s(crowd.state, simulator.catalog)  # type: ignore[attr-defined]
    return seconds.argmax(axis=1).astype(np.int32)[:, None]


# ---------------------------------------------------------------- rates


def shown_at_random(n: int = 2_000, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Mean of every feedback over random exposures, and the mean of what was expected of the same exposures."""
    simulator = default_world(session=FixedLength(10**6))
    crowd, given, expected = simulator.start(np.arange(n)), 0.0, 0.0
    for item in random_items(simulator, n, steps):
        expected = expected + simulator.users.expect(crowd.state, item, CATALOG).probability.mean(axis=(0, 1))
        given = given + simulator.step(crowd, item).response.feedback.mean(axis=(0, 1))
    return given / steps, expected / steps


def test_answers_are_rates_and_no_balanced_probabilities():
    """KuaiSim: two sigmoids put every probability between 0.50 and 0.73; "hate" came on 54 % of impressions."""
    given, expected = shown_at_random()
    rate = dict(zip(FEEDBACK, given, strict=True))
    assert rate["hate"] < 0.01
    assert max(rate["follow"], rate["comment"], rate["forward"]) < 0.01
    assert rate["like"] < 0.05
    assert rate["long_view"] < rate["click"] < 0.5
    error = np.sqrt(expected * (1 - expected) / 60_000)
    assert (np.abs(given - expected) < 5 * error + 1e-5).all()


def test_answers_are_not_drawn_independently_of_each_other():
    """KuaiSim: heads are independent, so people who skipped a video like it, and hate what they follow."""
    simulator = default_world(session=FixedLength(10**6))
    crowd = simulator.start(np.arange(4_000))
    both = []
    for item in random_items(simulator, 4_000, 25):
        both.append(simulator.step(crowd, item).response.feedback[:, 0])
    answers = np.concatenate(both)
    click, long, like = (answers[:, FEEDBACK.index(name)] for name in ("click", "long_view", "like"))
    assert not (long & ~click).any(), "by the published rules a long view is a valid play"
    assert like[long].mean() > 2 * like[~click].mean()


# ---------------------------------------------------------------- boredom, drift


def test_boredom_really_changes_answers():
    """KuaiSim: similarity was averaged over dimensions, so its deduction was 0.003 at most, i.e. switched off."""
    users = calibrated_users()
    bored, fresh = (users.start(np.arange(500), Noise.of(np.arange(500), np.zeros(500), -1)) for _ in range(2))
    tag = int(np.bincount(CATALOG.tag[CATALOG.tag >= 0]).argmax())
    bored.recent_tag[:] = tag
    item = np.flatnonzero(CATALOG.tag == tag)[:20].astype(np.int32)
    item = np.ascontiguousarray(np.broadcast_to(item, (500, 20)))
    now, before = (users.expect(state, item, CATALOG) for state in (bored, fresh))
    assert (now.watch_time_s < before.watch_time_s).all()
    assert now.watch_time_s.sum() < 0.8 * before.watch_time_s.sum()
    assert before.probability[..., 0].mean() - now.probability[..., 0].mean() > 0.02
    other = np.flatnonzero((CATALOG.tag != tag) & (CATALOG.tag >= 0))[:20].astype(np.int32)
    other = np.ascontiguousarray(np.broadcast_to(other, (500, 20)))
    np.testing.assert_array_equal(*(users.expect(state, other, CATALOG).watch_time_s for state in (bored, fresh)))


def test_repetition_within_a_slate_bores_too():
    users = calibrated_users()
    n = 3_000
    state = users.start(np.arange(n), Noise.of(np.arange(n), np.zeros(n), -1))
    tag = int(np.bincount(CATALOG.tag[CATALOG.tag >= 0]).argmax())
    same = np.flatnonzero(CATALOG.tag == tag)[:10].astype(np.int32)
    rest = np.flatnonzero((CATALOG.tag != tag) & (CATALOG.tag >= 0))[:9].astype(np.int32)
    noise = Noise.of(np.arange(n), np.zeros(n), 0)
    last = [
        users.respond(state, np.ascontiguousarray(np.broadcast_to(slate, (n, 10))), CATALOG, noise).watch_time_s[:, -1]
        for slate in (same, np.append(rest, same[-1]))
    ]
    assert (last[0] <= last[1]).all(), "same item, same luck: nobody watches longer for being bored"
    assert last[0].sum() < 0.9 * last[1].sum()


def drifted(watch_time_s: float, item: int, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taste before, taste after, and the item as users perceive it."""
    users = calibrated_users()
    noise = Noise.of(np.arange(n), np.zeros(n), 0)
    state = users.start(np.arange(n), noise)
    shown = np.full((n, 1), item, np.int32)
    response = recgym.Response(np.full((n, 1), watch_time_s, np.float32), np.zeros((n, 1, len(FEEDBACK)), bool))
    after = users.change(state, shown, response, CATALOG, noise)
    return state.taste.astype(float), after.taste.astype(float), CATALOG.appeal_vector[item].astype(float)


@pytest.mark.parametrize("item", [0, 17, 7_582])
def test_taste_drifts_towards_the_item_and_not_towards_a_flat_vector(item: int):
    """SARDINE: clicked vectors were averaged to one number, so every taste moved towards the same flat vector."""
    before, after, vector = drifted(2_000.0, item)
    for old, new in zip(before, after, strict=True):
        share, *_ = np.linalg.lstsq(np.column_stack([old, vector]), new, rcond=None)
        np.testing.assert_allclose(share[0] * old + share[1] * vector, new, atol=2e-6)
        assert share[1] > 1e-4, "the item pulls"
        assert 0.9 < share[0] < 1.1, "and most of the old taste stays"
    nearer = (after @ vector) / np.linalg.norm(after, axis=1) - (before @ vector) / np.linalg.norm(before, axis=1)
    assert (nearer > 0).all()


def test_what_is_skipped_moves_nothing():
    before, after, _ = drifted(0.0, 5)
    np.testing.assert_array_equal(before, after)


# ---------------------------------------------------------------- session length, return


def lengths(simulator: Simulator, n: int, steps: int) -> np.ndarray:
    """(n,) exposures until each user left; nobody may still be there after `steps`."""
    crowd, out = simulator.start(np.arange(n)), np.zeros(n, np.int64)
    rng = np.random.default_rng(0)
    for step in range(steps):
        first = rng.integers(0, len(simulator.catalog), (n, 1))
        item = (first + np.arange(simulator.slate_size)) % len(simulator.catalog)
        left = simulator.step(crowd, item).terminated
        out[left & (out == 0)] = (step + 1) * simulator.slate_size
        if (out > 0).all():
            return out
    raise AssertionError(f"{(out == 0).sum()} of {n} users never left")


def plain_world(**settings: Any) -> Simulator:
    """People of patience 1, who give clicks and likes."""
    users, objective = broken_fakes.BareUsers(), Objective(costs=("skip",))
    return Simulator(users, synthetic_catalog(200), objective=objective, max_steps=10**6, **settings)


def only_hazard(hazard: float) -> Patience:
    return Patience(base_hazard=hazard, fatigue=0, satisfaction=0, boredom=0, annoyance=0)


@pytest.mark.parametrize(("exposures", "k", "expected"), [(1, 1, 1), (50, 1, 50), (12, 6, 12), (13, 6, 18)])
def test_fixed_length_is_the_known_length(exposures: int, k: int, expected: int):
    assert (lengths(plain_world(session=FixedLength(exposures), slate_size=k), 20, 100) == expected).all()


@pytest.mark.parametrize(("hazard", "k"), [(0.05, 1), (0.3, 1), (1.0, 1), (0.05, 6)])
def test_a_constant_hazard_gives_geometric_lengths(hazard: float, k: int):
    """Known answer: requests of k exposures end with q = 1 - (1 - h)^k, so their number has mean 1 / q."""
    n, q = 4_000, 1 - (1 - hazard) ** k
    requests = lengths(plain_world(session=only_hazard(hazard), slate_size=k), n, 2_000) / k
    assert abs(requests.mean() - 1 / q) <= 4 * np.sqrt((1 - q) / q**2 / n)
    assert abs((requests == 1).mean() - q) <= 4 * np.sqrt(q * (1 - q) / n)
    for beyond in (1, 3, 10):
        p = (1 - q) ** beyond
        assert abs((requests > beyond).mean() - p) <= 4 * np.sqrt(p * (1 - p) / n) + 1e-12


def test_patience_multiplies_the_mean_length():
    users = broken_fakes.GoodUsers()  # patience 1, 2 or 3
    world = Simulator(users, synthetic_catalog(200), session=only_hazard(0.1), objective=Objective(costs=("skip",)),
                      max_steps=10**6)  # fmt: skip
    user = world.start(np.arange(6_000)).user
    length = lengths(world, 6_000, 3_000)
    for patience in (1, 2, 3):
        own, mean = length[user % 3 == patience - 1], patience / 0.1
        assert abs(own.mean() - mean) <= 4 * np.sqrt(mean * (mean - 1) / len(own))


def test_better_recommendations_keep_users_longer():
    """VirtualTaobao: the horizon is drawn per user and no recommendation changes it."""
    random, best = (played(policy, 400)["exposures"].mean() for policy in ("random", "best"))
    assert best > 1.2 * random


def test_return_days_are_geometric_and_satisfaction_brings_people_back():
    """KuaiSim: the personal part of the return probability is an untrained random layer."""
    n = 20_000
    noise = Noise.of(np.arange(n), np.zeros(n), 4)
    one, calm = np.ones(n, np.float32), np.full(n, 0.4, np.float32)
    for p in (0.2, 0.6, 0.9):
        gap = Returns(daily_probability=p).gap_days(calm, one, noise)
        assert gap.min() == 1
        assert abs(gap.mean() - 1 / p) <= 4 * np.sqrt((1 - p) / p**2 / n)
        assert abs((gap == 1).mean() - p) <= 4 * np.sqrt(p * (1 - p) / n)
    glad, sad = (Returns().gap_days(np.full(n, s, np.float32), one, noise) for s in (1.0, 0.0))
    assert (glad <= sad).all()
    assert glad.mean() < 0.9 * sad.mean()


# ---------------------------------------------------------------- head-room


@cache
def played(policy: str, n: int, steps: int = 500) -> dict[str, np.ndarray]:
    """(n,) exposures, seconds and clicks of one whole session of each user of the default world."""
    simulator = default_world()
    crowd, on = simulator.start(np.arange(n)), np.ones(n, bool)
    out = {name: np.zeros(n) for name in ("exposures", "seconds", "click")}
    items = random_items(simulator, n, steps)
    for step in range(steps):
        turn = simulator.step(crowd, items[step] if policy == "random" else best_items(simulator, crowd))
        out["exposures"] += on
        out["seconds"] += on * turn.response.watch_time_s[:, 0]
        out["click"] += on * turn.response.feedback[:, 0, 0]
        on &= ~turn.terminated
        if not on.any():
            break
    return out


def test_a_random_policy_does_not_score_like_a_good_one():
    """KuaiSim: a random policy on an untrained user model reaches the depth and click rate of the published agents."""
    random, best = played("random", 400), played("best", 400)
    click = [part["click"].sum() / part["exposures"].sum() for part in (random, best)]
    seconds = [part["seconds"].sum() / part["exposures"].sum() for part in (random, best)]
    assert click[1] > 1.8 * click[0]
    assert seconds[1] > 2 * seconds[0]
    gain = best["seconds"] - random["seconds"]
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(gain))


# ---------------------------------------------------------------- nothing is accepted and then ignored


@pytest.mark.parametrize("name", [f.name for f in fields(Patience) if f.name != "returns"])
def test_every_setting_of_patience_has_an_effect(name: str):
    """RecoGym: the leave probability of the ad state is accepted and never used."""
    usual = Patience()
    changed = replace(usual, **{name: getattr(usual, name) * (0.5 if name == "memory" else 3)})
    ends = [lengths(default_world(session=session, max_steps=10**6), 400, 3_000) for session in (usual, changed)]
    assert (ends[0] != ends[1]).any()


@pytest.mark.parametrize("name", [f.name for f in fields(Returns)])
def test_every_setting_of_returns_has_an_effect(name: str):
    changed = replace(Returns(), **{name: getattr(Returns(), name) * 0.3})
    habits = Habits(*np.ones((2, 500), np.float32))
    noise = Noise.of(np.arange(500), np.zeros(500), 9)
    state = np.array([[20, 0.9, 0, 0, -1]] * 500, np.float32)
    gaps = [Patience(returns=returns).return_gap_days(state, habits, noise) for returns in (Returns(), changed)]
    assert (gaps[0] != gaps[1]).any()


OTHERS = ("intercept", "match_slope", "user_scale", "appeal_scale", "follow_on", "ratio")


@pytest.mark.parametrize("name", [*WATCH, *OTHERS])
def test_every_parameter_of_the_users_has_an_effect(name: str):
    usual = default_parameters()
    usual = usual.replace(intercept=usual.intercept + 3)  # explicit answers often enough to be compared
    if name in WATCH:
        watch = usual.watch.copy()
        watch[WATCH.index(name)] = watch[WATCH.index(name)] * 1.5 + 0.1
        changed = usual.replace(watch=watch)
    else:
        changed = usual.replace(**{name: getattr(usual, name) * np.float32(0.7)})
    answers = []
    for parameters in (usual, changed):
        users = CalibratedUsers(synthetic_population(500), parameters)
        simulator = Simulator(users, CATALOG, session=FixedLength(10**6))
        crowd = simulator.start(np.arange(500))
        answered = [simulator.step(crowd, item).response for item in random_items(simulator, 500, 25)]
        answers.append(np.array([np.concatenate([r.watch_time_s[..., None], r.feedback], axis=2) for r in answered]))
    assert (answers[0] != answers[1]).any()


def test_misspelt_settings_are_refused():
    """KuaiSim: misspelt flags are accepted silently."""
    with pytest.raises(UnknownName, match="Did you mean 'max_steps'"):
        gym.make("recgym/ShortVideo-v0", max_stepps=3)
    with pytest.raises(UnknownName, match="calibrated"):
        gym.make("recgym/ShortVideo-v0", users="calibratet")
    with pytest.raises(UnknownName, match="Did you mean 'history'"):
        gym.make("recgym/ShortVideo-v0", observation="histroy")


def test_reset_options_are_obeyed_or_refused():
    """KuaiSim: reset options for an empty or a given history are documented and ignored."""
    env = gym.make("recgym/ShortVideo-v0")
    assert env.reset(seed=1, options={"user": 123})[1]["user"] == 123
    with pytest.raises(RecGymError):
        env.reset(seed=1, options={"user": 10**9})
    with pytest.raises(RecGymError):
        env.reset(seed=1, options={"usr": 123})
    vector = gym.make_vec("recgym/ShortVideo-v0", 3, vectorization_mode="vector_entry_point")
    assert vector.reset(seed=1, options={"user": np.array([5, 6, 7])})[1]["user"].tolist() == [5, 6, 7]
    with pytest.raises(RecGymError):
        vector.reset(seed=1, options={"usr": 123})


# ---------------------------------------------------------------- seeds


SESSION_HASH = """
import hashlib, sys
import numpy as np
from recgym.session import Patience
from recgym.simulator import Simulator
from recgym.users.defaults import calibrated_users
from recgym.users.synthetic import synthetic_catalog
simulator = Simulator(calibrated_users(), synthetic_catalog(), slate_size=2, visits=3)
crowd = simulator.start(np.arange(12)[eval(sys.argv[1])])
digests = [hashlib.sha256() for _ in range(len(crowd))]
for step in range(40):
    item = (crowd.seed[:, None] * 31 + step * 7 + np.array([0, 5000])) % 7583
    turn = simulator.step(crowd, item)
    for part in (*turn.response, turn.reward, turn.left, turn.return_gap_days, simulator.flat(crowd), *crowd.state):
        for digest, row in zip(digests, np.ascontiguousarray(part)):
            digest.update(np.ascontiguousarray(row).tobytes())
print(*(digest.hexdigest() for digest in digests))
"""


def session_hashes(rows: str, hash_seed: str) -> list[str]:
    """One hash for the whole session of each user, worked out in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION_HASH, rows], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    return done.stdout.split()


def test_same_seed_same_session_in_other_batches_and_other_processes():
    """RecSim seeds one global generator; EasyRL4Rec's environment draws from `random`, whose seed nobody sets."""
    whole = session_hashes("slice(None)", "1")
    assert len(set(whole)) == 12
    assert session_hashes("slice(None, None, -3)", "2") == whole[::-3]
    assert session_hashes("[5]", "3") == [whole[5]]


def test_worlds_leave_the_global_generators_alone():
    """RecSim: seeds NumPy's global generator."""
    with untouched_chance("the default worlds"):
        for world in ("recgym/ShortVideo-v0", "recgym/SlateFeed-v0", "recgym/TwoItem-v0"):
            env = gym.make(world, render_mode="rgb_array")
            env.reset(seed=5)
            env.step(np.arange(6) if env.action_space.shape else 1)
            env.render()
            vector = gym.make_vec(world, 4, vectorization_mode="vector_entry_point")
            vector.reset()
            vector.step(np.tile(np.arange(6), (4, 1)) if env.action_space.shape else np.ones(4, int))


# ---------------------------------------------------------------- imports

WATCHED_IMPORT = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append((str(args[0]), str(args[1]))) if event == "open" else None)
import {module}
for path, mode in opened:
    print(path, mode, sep="\\t")
"""


@pytest.mark.parametrize("module", ["recgym", "recgym, recgym_envs.single_env, recgym_envs.short_video"])
def test_importing_reads_no_data_and_writes_nothing(module: str, tmp_path: Path):
    """EasyRL4Rec reads CSV files when imported; SARDINE writes into its own package folder."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT.format(module=module)], capture_output=True, text=True, check=True,
        cwd=tmp_path, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    data = (".csv", ".gz", ".npz", ".npy", ".parquet", ".feather", ".pkl", ".h5", ".safetensors")
    home = Path(recgym.__file__).parents[1]
    for line in done.stdout.splitlines():
        path, mode = line.split("\t")
        assert not path.endswith(data), f"{module} read {path}"
        written = any(letter in mode for letter in "wax+")
        cache = "__pycache__" in path  # Numba tries whether it may write its cache
        assert not written or cache or not Path(path).is_relative_to(home), f"{module} wrote {path}"
    assert not list(tmp_path.iterdir())


def test_playing_writes_nothing_into_the_package(tmp_path: Path):
    """SARDINE: without an embedding file it makes one in its own package folder."""
    home = Path(recgym.__file__).parent

    def files() -> dict[str, str]:
        kept = [p for p in home.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".py"]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}

    before = files()
    check_user_model(calibrated_users(20), n=8, steps=2)
    assert files() == before
