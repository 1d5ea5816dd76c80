"""The conformance kit itself: the good fakes pass, and each broken one is caught by the rule it breaks."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import broken_fakes as fakes
import gymnasium as gym
import numpy as np
import pytest

from recgym.catalog import Catalog
from recgym.errors import RecGymError, WrongSetting
from recgym.noise import Noise
from recgym.session import FixedLength
from recgym.simulator import _TAKEN as TAKEN_BY_THE_SIMULATOR
from recgym.simulator import Simulator
from recgym.testing import (
    NotConforming,
    OnceNoise,
    check_agent,
    check_env,
    check_loader,
    check_user_model,
    check_vector_env,
)
from recgym.users.synthetic import synthetic_catalog


def broken(check: Callable[..., object], rule: str | tuple[str, ...], says: str) -> None:
    """The check must raise by this rule, with these words in its message."""
    with pytest.raises(NotConforming) as caught:
        check()
    assert caught.value.rule in ((rule,) if isinstance(rule, str) else rule), str(caught.value)
    assert says in str(caught.value), str(caught.value)
    assert caught.value.advice.endswith((".", "?")), "every message ends with what to do"


def test_the_error_is_both_a_recgym_error_and_a_failed_assertion():
    error = NotConforming("a rule", "something was seen", "Do something else.")
    assert isinstance(error, RecGymError)
    assert isinstance(error, AssertionError)
    assert str(error) == "a rule: something was seen. Do something else."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# ---------------------------------------------------------------- users


def test_good_users_pass():
    for seed in range(3):
        check_user_model(fakes.GoodUsers(), seed=seed)


def test_good_users_pass_with_few_rows_and_one_step():
    check_user_model(fakes.GoodUsers(), n=1, steps=1)


def test_users_without_expectations_habits_and_rest_pass():
    check_user_model(fakes.BareUsers())


USERS = [
    (fakes.DifferentAlone, "row i belongs to user i", "64 rows together and row 0 alone differ at step 0, respond"),
    (fakes.SharedGenerator, "same call, same answer", "step 0, respond"),
    (fakes.GlobalGenerator, "global chance", "step 0, respond moved the global generator of NumPy"),
    (fakes.ReadsGlobalSeed, "same call, same answer", "a second session"),
    (fakes.BatchMean, "row i belongs to user i", "64 rows together and"),
    (fakes.DoubleSigmoid, "expectations are means", "expect says like"),
    (fakes.SlightlyWrongExpectation, "expectations are means", "8 users together: expect says like"),
    (fakes.InPlaceState, "inputs stay as they are", "step 0, change wrote into what it was given"),
    (fakes.ReusedAnswer, "answers are new arrays", "what respond had answered at step 0"),
    (fakes.SpoiltAnswer, "answers are new arrays", "a second call of step 0, respond changed"),
    (fakes.WrongShape, "shapes and types", "feedback (64, 2) bool. (64, 1, 2) bool is needed"),
    (fakes.DoubleSeconds, "shapes and types", "watch_time_s (64, 1) float64"),
    (fakes.StateChangesType, "shapes and types", "step 0, change turned the state"),
    (fakes.NotANumber, "possible values", "watch_time_s is [nan]"),
    (fakes.NegativeSeconds, "possible values", "watch_time_s is [-0."),
    (fakes.HugeSeconds, "possible values", "Seconds are numbers from 0 to 1e+06"),
    (fakes.HugeProfile, "possible values", "observe"),
    (fakes.SameDrawTwice, "each draw has its own name", "the draw 'watch' was asked for twice in step 0"),
    (fakes.SameDrawInChange, "each draw has its own name", "the draw 'like' was asked for twice in step 0"),
    (fakes.TakenDraw, "each draw has its own name", "the draw 'hour' belongs to somebody else"),
    (fakes.NoLuck, "luck makes a difference", "other seeds"),
    (fakes.SameLuckEachStep, "luck makes a difference", "in all 30 steps"),
    (fakes.ClickByCoin, "published rules", "recgym.feedback.valid_play"),
    (fakes.CountsCalls, "same call, same answer", "Keep all memory in the state"),
    (fakes.ExpectsBesideOthers, "expectations item by item", "at place 0 of 5"),
    (fakes.MoreThanCertain, "possible values", "Probabilities lie in [0, 1]"),
    (fakes.NoPatience, "shapes and types", "habits"),
    (fakes.RestGrows, "shapes and types", "rest turned the state"),
    (fakes.LacksChange, "methods of a user model", "LacksChange lacks change"),
]  # fmt: skip


@pytest.mark.parametrize(("fake", "rule", "says"), USERS, ids=lambda value: getattr(value, "__name__", None))
def test_each_broken_user_model_is_caught(fake, rule, says):
    broken(lambda: check_user_model(fake()), rule, says)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("watch_time_s",), "means something else"), (("like", "like"), "occurs twice"), (("cost_x",), "starts with"),
        (("_like",), "starts with"), (("thumb up",), "no Python identifier"), (("class",), "no Python identifier"),
        (("early_exit",), "means something else"), ((), "At"), (["like"], "A tuple"), ((1,), "A tuple"),
    ],
)  # fmt: skip
def test_bad_feedback_names_are_caught(names, says):
    broken(lambda: check_user_model(fakes.named_users(*names) if isinstance(names, tuple) else with_names(names)),
           "feedback names", says if names else "A tuple")  # fmt: skip


@pytest.mark.parametrize("name", sorted(TAKEN_BY_THE_SIMULATOR))
def test_names_that_the_simulator_refuses_are_caught(name):
    with pytest.raises(WrongSetting, match=f"'{name}'"):
        Simulator(fakes.named_users("click", name), synthetic_catalog(9))
    broken(lambda: check_user_model(fakes.named_users("click", name)), "feedback names", f"'{name}' means something")


def with_names(names: Any) -> fakes.GoodUsers:
    users = fakes.GoodUsers()
    users.feedback = names
    return users


@pytest.mark.parametrize("n", [0, 2.5, None])
def test_a_bad_number_of_users_is_caught(n):
    users = fakes.GoodUsers()
    users.n_users = n
    broken(lambda: check_user_model(users), "number of users", f"`n_users` is {n!r}")


def test_writing_to_the_catalogue_is_caught():
    whole = synthetic_catalog(40)
    own = Catalog(**{part.name: getattr(whole, part.name).copy() for part in fields(Catalog)})
    broken(lambda: check_user_model(fakes.WritesCatalog(), own), "inputs stay as they are", "catalog.tags")


def test_a_model_without_chance_passes_if_it_is_said_to_be_one():
    check_user_model(fakes.Certain(), deterministic=True)
    broken(lambda: check_user_model(fakes.Certain()), "luck makes a difference", "deterministic=True")


def test_a_matrix_product_is_caught_where_its_last_digits_depend_on_the_batch():
    taste, columns = fakes.GoodUsers().taste, synthetic_catalog(200).appeal_vector.T
    if all((taste[rows] @ columns == (taste @ columns)[rows]).all() for rows in (slice(1), slice(None, None, 3))):
        pytest.skip("the matrix products of this machine do not depend on the batch")
    broken(lambda: check_user_model(fakes.MatrixProduct()), "row i belongs to user i", "64 rows together and")


def test_once_noise_remembers_rows_and_not_the_batch():
    noise = Noise.of(np.arange(4), np.zeros(4, np.int64), 3)
    once = OnceNoise(noise.key, noise.step)
    left = once.rows(np.array([0, 1])).uniform("coin")
    right = once.rows(np.array([2, 3])).uniform("coin")
    np.testing.assert_array_equal(np.concatenate([left, right]), noise.uniform("coin"))
    broken(lambda: once.rows(np.array([1])).uniform("coin"), "each draw has its own name", "'coin'")
    later = OnceNoise(noise.key, noise.step + 1, asked=once.asked)
    later.uniform("coin")


# ---------------------------------------------------------------- environments


def test_the_good_env_passes():
    check_env(fakes.GoodEnv)
    check_env(fakes.GoodEnv())
    check_env(lambda: fakes.GoodEnv(slate_size=3))
    check_env(lambda: fakes.GoodEnv(observation="history", visits=2))


ENVS = [
    (fakes.NextUsersObservation, "the last observation is of the user who left", "first observation of episode"),
    (fakes.UnseededReset, ("Gymnasium's contract", "same seed, same trajectory"), ""),
    (fakes.RemembersEpisodes, "same seed, same trajectory", "reward"),
    (fakes.AllSeedsAlike, "seeds make a difference", "begin exactly alike"),
    (fakes.SameEpisodeAgain, "reset goes on", "the same episode again"),
    (fakes.FewerNames, "names in info", "cost_early_exit is not always there"),
    (fakes.NamesCostsWhenTheyOccur, "names in info", "cost_skipped_not"),
    (fakes.NumpyNumbers, "plain numbers", "info['watch_time_s']"),
    (fakes.NumpyReward, ("plain numbers", "Gymnasium's contract"), "reward"),
    (fakes.ReusedObservation, ("observations are new arrays", "Gymnasium's contract"), ""),
    (fakes.GoesOnAfterTheEnd, "no step after the end", "episode 0"),
    (fakes.LeavesItsSpace, "observations lie in their space", "float64"),
    (fakes.GlobalGeneratorEnv, "global chance", "NumPy"),
    (fakes.ChangesWhatItShows, "a view shows the simulator", "observation"),
]  # fmt: skip


@pytest.mark.parametrize(("fake", "rule", "says"), ENVS, ids=lambda value: getattr(value, "__name__", None))
def test_each_broken_env_is_caught(fake, rule, says):
    broken(lambda: check_env(fake), rule, says)


def test_an_env_without_ends_is_caught():
    broken(lambda: check_env(lambda: fakes.GoodEnv(session=FixedLength(10**6), max_steps=10**6), max_steps=50),
           "episodes end", "no end in sight")  # fmt: skip


def test_what_is_no_env_is_caught():
    class Nothing(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (2,))
        action_space = gym.spaces.Discrete(2)

    broken(lambda: check_env(Nothing), "Gymnasium's contract", "")


def test_signals_can_be_demanded():
    check_env(fakes.GoodEnv, signals=("watch_time_s", "left"))
    broken(lambda: check_env(fakes.GoodEnv, signals=("applause",)), "names in info", "applause")


# ---------------------------------------------------------------- vector environments


def test_the_good_vector_env_passes():
    check_vector_env(fakes.GoodVector, fakes.GoodEnv, n=5, steps=60)


VECTORS = [
    (fakes.SharedGeneratorVector, "the vector view is n single views"),
    (fakes.SameStepVector, "the vector view is n single views"),
    (fakes.NoMasks, "the vector view is n single views"),
    (fakes.RewardsAfterTheEnd, "the vector view is n single views"),
    (fakes.ChangesActions, "inputs stay as they are"),
]


@pytest.mark.parametrize(("fake", "rule"), VECTORS, ids=lambda value: getattr(value, "__name__", None))
def test_each_broken_vector_env_is_caught(fake, rule):
    broken(lambda: check_vector_env(fake, fakes.GoodEnv, n=4, steps=40), rule, "")


@pytest.mark.skipif(not hasattr(gym.vector, "AutoresetMode"), reason="this gymnasium has no autoreset modes")
def test_an_undeclared_autoreset_mode_is_caught():
    broken(lambda: check_vector_env(fakes.WrongMode, fakes.GoodEnv, n=2), "autoreset mode", "whenever")


def test_vector_envs_of_other_worlds_and_without_ends_are_caught():
    broken(lambda: check_vector_env(lambda n: fakes.GoodVector(n, n_items=31), fakes.GoodEnv, n=2),
           "the vector view is n single views", "single_action_space")  # fmt: skip
    settings = {"session": FixedLength(10**6), "max_steps": 10**6}
    broken(lambda: check_vector_env(lambda n: fakes.GoodVector(n, **settings), lambda: fakes.GoodEnv(**settings), n=2,
                                    steps=8), "episodes end", "no episode of 2 users ended")  # fmt: skip


# ---------------------------------------------------------------- agents


def simulator(**settings: Any) -> Simulator:
    return Simulator(fakes.GoodUsers(), synthetic_catalog(12), session=FixedLength(8), objective=plain(), **settings)


def plain() -> Any:
    from recgym.objective import Objective

    return Objective(costs=("skip",))


def test_the_good_agent_passes():
    check_agent(fakes.GoodAgent, simulator())
    check_agent(fakes.GoodAgent, simulator(slate_size=2), settings=fakes.CountSettings(temperature=3.0))


def test_the_good_agent_passes_in_a_catalogue_where_most_slates_are_rare():
    check_agent(fakes.GoodAgent, replace(simulator(), catalog=synthetic_catalog(60), slate_size=2), n=8, steps=2)


AGENTS = [
    (fakes.agent_with(fakes.UniformLogProb), "log_prob is a log probability", "after learning"),
    (fakes.agent_with(fakes.LogProbOfFirstItem), "log_prob is a log probability", "before learning"),
    (fakes.agent_with(fakes.WrongWithHistory), "log_prob is a log probability", "before learning, step 3"),
    (fakes.agent_with(fakes.Density), "log_prob is a log probability", "finite and at most 0"),
    (fakes.agent_with(fakes.OneCoinForAll), "row i belongs to user i", ""),
    (fakes.agent_with(fakes.SameItemTwice), "choices", "is there once"),
    (fakes.agent_with(fakes.WideItems), "choices", "int64"),
    (fakes.agent_with(fakes.OwnDraws), "each draw has its own name", "'like' belongs to somebody else"),
    (fakes.agent_with(fakes.RemembersItself), "same call, same answer", "act answered differently"),
    (fakes.agent_with(fakes.WritesObservation), "inputs stay as they are", "flat"),
    (fakes.Pickles, "nothing is pickled", "agent.pkl is a pickle"),
    (fakes.PicklesUnderAnotherName, "nothing is pickled", "weights.safetensors is a pickle"),
    (fakes.ForgetsOnLoad, "saved and loaded, same choices", "step 0"),
    (fakes.UnseededLearning, "same seed, same policy", "learned alike"),
    (fakes.SeedsEverybody, "global chance", "learn moved the global generator of NumPy"),
    (fakes.LearnsFromNothing, "learning", "without a log"),
    (fakes.LosesItsLosses, "learning", "nan"),
    (fakes.ChangesLog, "inputs stay as they are", "learn changed the log"),
    (fakes.UnknownSource, "protocol of agents", "books"),
    (fakes.NotFrozen, "settings are documented", "A frozen dataclass"),
    (fakes.NotDocumented, "settings are documented", "SilentSettings.temperature has no sentence under it"),
]  # fmt: skip


@pytest.mark.parametrize(("fake", "rule", "says"), AGENTS, ids=lambda value: getattr(value, "__name__", None))
def test_each_broken_agent_is_caught(fake, rule, says):
    broken(lambda: check_agent(fake, simulator(slate_size=2), n=9, steps=3), rule, says)


def test_a_wrong_probability_is_caught_where_every_slate_is_rare():
    fake = fakes.agent_with(fakes.UniformLogProb)
    world = replace(simulator(), catalog=synthetic_catalog(150), slate_size=2)
    broken(lambda: check_agent(fake, world, n=6, steps=1), "log_prob is a log probability", "after learning")


# ---------------------------------------------------------------- loaders


def test_the_good_loader_passes(tmp_path: Path):
    data = check_loader(fakes.good_load, fakes.write_events(tmp_path))
    assert len(data.log) == 5


LOADERS = [
    (fakes.loads_a_tuple, "shapes and types", "a tuple came back"),
    (fakes.loads_outside_ids, "ids are row numbers", "item is"),
    (fakes.loads_backwards, "rows are sorted by user and time", "row"),
    (fakes.loads_broken_sessions, "sessions are runs of rows", "session 0"),
    (fakes.loads_nan_profile, "possible values", "NaN"),
    (fakes.loads_narrow_profile, "shapes and types", "0 names"),
    (fakes.loads_wide_numbers, "shapes and types", "float64"),
    (fakes.loads_the_same_id_twice, "outside ids are unique", "1 different ids"),
    (fakes.loads_numbers_as_notes, "notes are sentences", "[3]"),
    (fakes.loads_nothing, "possible values", "the log is empty"),
    (fakes.writes_a_cache, "files stay as they are", "cache.npy"),
    (fakes.loads_anything, "a wrong folder is refused", "an empty folder was loaded"),
    (fakes.trips_over_nothing, "a wrong folder is refused", "FileNotFoundError"),
    (fakes.moves_the_global_generator, "global chance", "the loader"),
    (fakes.LoadsSomethingNew(), "a second load gives the same", "catalog.tags"),
]  # fmt: skip


@pytest.mark.parametrize(("fake", "rule", "says"), LOADERS, ids=lambda value: getattr(value, "__name__", None))
def test_each_broken_loader_is_caught(fake, rule, says, tmp_path: Path):
    broken(lambda: check_loader(fake, fakes.write_events(tmp_path)), rule, says)
