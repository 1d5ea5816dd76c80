"""Plug-ins that keep every rule of `recgym.testing`, and for each rule one that breaks it and nothing else."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.errors import WrongSetting
from recgym.feedback import Response, valid_play
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.loaders.event_log import load as load_events
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Report
from recgym.session import FixedLength
from recgym.simulator import Simulator
from recgym.user_model import Expected, Habits

# isort: split
from recgym_envs.single_env import RecEnv
from recgym_envs.vector_env import RecVectorEnv

# ---------------------------------------------------------------- users


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class GoodState(NamedTuple):
    """user (n,) int64; taste (n, 16) float32; mood (n, 1) float32, drawn as the visit begins."""

    user: np.ndarray
    taste: np.ndarray
    mood: np.ndarray


class BareUsers:
    """A user model in plain NumPy: seconds are exponential around a mean, likes follow the match, taste drifts."""

    feedback: tuple[str, ...] = ("click", "like")
    n_users: int = 50

    def __init__(self) -> None:
        self.taste = np.random.default_rng(0).standard_normal((self.n_users, 16)).astype(np.float32)

    def start(self, user: np.ndarray, noise: Noise) -> GoodState:
        return GoodState(user, self.taste[user], 0.5 * noise.normal("mood").astype(np.float32))

    def observe(self, state: GoodState) -> np.ndarray:
        return (state.user[:, None] / self.n_users).astype(np.float32)

    def match(self, state: GoodState, item: np.ndarray, catalog: Catalog) -> np.ndarray:
        return (state.taste[:, None, :] * catalog.appeal_vector[item]).sum(axis=2) + state.mood

    def mean_s(self, state: GoodState, item: np.ndarray, catalog: Catalog) -> np.ndarray:
        return catalog.duration_s[item] * sigmoid(self.match(state, item, catalog) - 1)

    def like_probability(self, state: GoodState, item: np.ndarray, catalog: Catalog) -> np.ndarray:
        return sigmoid(self.match(state, item, catalog) - 2)

    def respond(self, state: GoodState, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        k = item.shape[1]
        watch = (self.mean_s(state, item, catalog) * -np.log(noise.uniform("watch", k))).astype(np.float32)
        like = noise.uniform("like", k) < self.like_probability(state, item, catalog)
        return Response(watch, np.stack([valid_play(watch, catalog.duration_s[item]), like], axis=2))

    def change(
        self, state: GoodState, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise
    ) -> GoodState:
        liking = np.minimum(response.watch_time_s / catalog.duration_s[item], 1)[:, :, None]
        pull = (liking * (catalog.appeal_vector[item] - state.taste[:, None, :])).sum(axis=1)
        return state._replace(taste=state.taste + np.float32(0.05) * pull)


class GoodUsers(BareUsers):
    """The same with all that a user model may have: expectations, habits, rest."""

    def expect(self, state: GoodState, item: np.ndarray, catalog: Catalog) -> Expected:
        mean = self.mean_s(state, item, catalog)
        click = np.exp(-np.minimum(catalog.duration_s[item], 7) / mean)
        probability = np.stack([click, self.like_probability(state, item, catalog)], axis=2)
        return Expected(mean.astype(np.float32), probability.astype(np.float32))

    def habits(self, user: np.ndarray) -> Habits:
        return Habits((1 + user % 3).astype(np.float32), np.ones(len(user), np.float32))

    def rest(self, state: GoodState, gap_days: np.ndarray) -> GoodState:
        return state._replace(mood=state.mood / gap_days[:, None])


class MatrixProduct(GoodUsers):
    def match(self, state, item, catalog):
        every = state.taste @ catalog.appeal_vector.T
        return np.take_along_axis(every, item.astype(np.int64), axis=1) + state.mood


class SharedGenerator(GoodUsers):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        return response._replace(feedback=response.feedback & (self.rng.random((*item.shape, 1)) < [[[1.0, 0.5]]]))


class GlobalGenerator(GoodUsers):
    def respond(self, state, item, catalog, noise):
        np.random.random()  # noqa: NPY002 - that is the fault
        return super().respond(state, item, catalog, noise)


class ReadsGlobalSeed(GoodUsers):
    def like_probability(self, state, item, catalog):
        seeded = np.random.get_state()[1][0] % 2  # noqa: NPY002 - that is the fault
        return super().like_probability(state, item, catalog) * (0.5 + 0.5 * seeded)


class BatchMean(GoodUsers):
    def match(self, state, item, catalog):
        match = super().match(state, item, catalog)
        return match - np.float32(0.1) * match.mean()


class DifferentAlone(GoodUsers):
    """As a matrix product may be: a thousand rows agree with five hundred, and one row takes another path."""

    def mean_s(self, state, item, catalog):
        mean = super().mean_s(state, item, catalog)
        return np.nextafter(mean, np.float32(np.inf)) if len(item) == 1 else mean


class DoubleSigmoid(GoodUsers):
    """KuaiSim's defect: the probability passes through a sigmoid a second time where the answer is drawn."""

    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        p = sigmoid(self.like_probability(state, item, catalog))
        response.feedback[:, :, 1] = noise.uniform("second like", item.shape[1]) < p
        return response


class SlightlyWrongExpectation(GoodUsers):
    """Expects 6 percent too many likes: each user alone is within the error of its mean, all together are not."""

    def expect(self, state, item, catalog):
        expected = super().expect(state, item, catalog)
        return expected._replace(probability=expected.probability * np.array([1, 1.06], np.float32))


class InPlaceState(GoodUsers):
    def change(self, state, item, response, catalog, noise):
        state.taste[:] = super().change(state, item, response, catalog, noise).taste
        return state


class ReusedAnswer(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        if not hasattr(self, "buffer") or self.buffer.shape != item.shape:
            self.buffer = np.empty(item.shape, np.float32)
        self.buffer[:] = response.watch_time_s
        return response._replace(watch_time_s=self.buffer)


class SpoiltAnswer(GoodUsers):
    """A second call, with the same arguments, changes what the first had answered."""

    def __init__(self):
        super().__init__()
        self.last = np.zeros(1, np.float32)

    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        self.last += 1
        self.last = response.watch_time_s
        return response


class WrongShape(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        return response._replace(feedback=response.feedback[:, 0])


class DoubleSeconds(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        return response._replace(watch_time_s=response.watch_time_s.astype(np.float64))


class StateChangesType(GoodUsers):
    def change(self, state, item, response, catalog, noise):
        state = super().change(state, item, response, catalog, noise)
        return state._replace(mood=state.mood.astype(np.float64))


class NotANumber(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        response.watch_time_s[state.user == self.n_users - 1] = np.nan
        return response


class NegativeSeconds(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        return response._replace(watch_time_s=response.watch_time_s - np.float32(0.5))


class HugeSeconds(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        return response._replace(watch_time_s=response.watch_time_s * np.float32(1e9))


class HugeProfile(GoodUsers):
    def observe(self, state):
        return super().observe(state) * np.float32(1e9)


class SameDrawTwice(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        response.feedback[:, :, 1] &= noise.normal("watch", item.shape[1]) < 1
        return response


class SameDrawInChange(GoodUsers):
    def change(self, state, item, response, catalog, noise):
        state = super().change(state, item, response, catalog, noise)
        return state._replace(mood=state.mood * noise.uniform("like").astype(np.float32))


class TakenDraw(GoodUsers):
    def start(self, user, noise):
        state = super().start(user, noise)
        return state._replace(mood=noise.normal("hour").astype(np.float32))


class NoLuck(GoodUsers):
    def respond(self, state, item, catalog, noise):
        return super().respond(state, item, catalog, Noise.of(state.user, np.zeros_like(state.user)))


class SameLuckEachStep(GoodUsers):
    def respond(self, state, item, catalog, noise):
        return super().respond(state, item, catalog, Noise(noise.key, np.zeros_like(noise.step)))


class ClickByCoin(GoodUsers):
    def respond(self, state, item, catalog, noise):
        response = super().respond(state, item, catalog, noise)
        response.feedback[:, :, 0] = noise.uniform("click", item.shape[1]) < 0.5
        return response


class CountsCalls(GoodUsers):
    calls = 0

    def respond(self, state, item, catalog, noise):
        self.calls += 1
        response = super().respond(state, item, catalog, noise)
        return response if self.calls < 100 else response._replace(feedback=~response.feedback)


class ExpectsBesideOthers(GoodUsers):
    def expect(self, state, item, catalog):
        expected = super().expect(state, item, catalog)
        return expected._replace(watch_time_s=expected.watch_time_s / np.float32(item.shape[1]))


class MoreThanCertain(GoodUsers):
    def expect(self, state, item, catalog):
        expected = super().expect(state, item, catalog)
        return expected._replace(probability=expected.probability * np.float32(4))


class WritesCatalog(GoodUsers):
    def change(self, state, item, response, catalog, noise):
        catalog.tags[:] = 0
        return super().change(state, item, response, catalog, noise)


class NoPatience(GoodUsers):
    def habits(self, user):
        return Habits(np.zeros(len(user), np.float32), np.ones(len(user), np.float32))


class RestGrows(GoodUsers):
    def rest(self, state, gap_days):
        return state._replace(mood=state.mood[:, :, None])


class Certain(BareUsers):
    """Without any chance."""

    def respond(self, state, item, catalog, noise):
        watch = self.mean_s(state._replace(mood=0 * state.mood), item, catalog).astype(np.float32)
        like = self.like_probability(state._replace(mood=0 * state.mood), item, catalog) > 0.5
        return Response(watch, np.stack([valid_play(watch, catalog.duration_s[item]), like], axis=2))


class LacksChange:
    feedback, n_users = ("like",), 3
    start = observe = respond = None


def named_users(*names: Any) -> GoodUsers:
    """Good users whose second feedback is called something else."""
    users = GoodUsers()
    users.feedback = names
    return users


# ---------------------------------------------------------------- environments

WORLD = {"world": "recgym/ShortVideo-v0", "n_items": 30, "session": FixedLength(6)}


class GoodEnv(RecEnv):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**WORLD, **settings})


class NextUsersObservation(GoodEnv):
    """VirtualTaobao's defect: the observation at the end of an episode is the next user's first one."""

    def step(self, action):
        out = super().step(action)
        if not (out[2] or out[3]):
            return out
        observation, _ = self.reset()
        self._ready = False
        return observation, *out[1:]


class UnseededReset(GoodEnv):
    resets = 0

    def reset(self, *, seed=None, options=None):
        type(self).resets += 1
        super().reset(seed=seed)
        self._seed = self.resets
        return super().reset(options=options)


class RemembersEpisodes(GoodEnv):
    ended = 0

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        type(self).ended += terminated or truncated
        return observation, reward + self.ended, terminated, truncated, info


class AllSeedsAlike(GoodEnv):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed, seeded = 5, seed is not None
        self._crowd.episode[:] = -1 if seeded else self._crowd.episode - 1
        return super().reset(options=options)


class SameEpisodeAgain(GoodEnv):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._crowd.episode[:] = -1
        return super().reset(options=options)


class FewerNames(GoodEnv):
    def step(self, action):
        out = super().step(action)
        del out[4]["cost_early_exit"]
        return out


class NamesCostsWhenTheyOccur(GoodEnv):
    def step(self, action):
        out = super().step(action)
        if not out[4]["cost_skip"]:
            out[4]["cost_skipped_not"] = 1.0
        return out


class NumpyNumbers(GoodEnv):
    def step(self, action):
        out = super().step(action)
        out[4]["watch_time_s"] = np.float32(out[4]["watch_time_s"])
        return out


class NumpyReward(GoodEnv):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, np.float64(reward), *rest


class ReusedObservation(GoodEnv):
    def step(self, action):
        observation, *rest = super().step(action)
        if not hasattr(self, "buffer"):
            self.buffer = observation
        self.buffer[:] = observation
        return self.buffer, *rest


class GoesOnAfterTheEnd(GoodEnv):
    def step(self, action):
        self._ready = True
        return super().step(action)


class LeavesItsSpace(GoodEnv):
    def step(self, action):
        observation, *rest = super().step(action)
        return (observation.astype(np.float64) if self._crowd.step[0] > 4 else observation), *rest


class GlobalGeneratorEnv(GoodEnv):
    def step(self, action):
        np.random.random()  # noqa: NPY002 - that is the fault
        return super().step(action)


class ChangesWhatItShows(GoodEnv):
    def _observed(self):
        return super()._observed() * np.float32(1.0001)


class GoodVector(RecVectorEnv):
    def __init__(self, num_envs: int, **settings: Any) -> None:
        super().__init__(num_envs, **{**WORLD, **settings})


class SharedGeneratorVector(GoodVector):
    """Gymnasium's own vector CartPole does this: a row that begins anew draws from one generator for all rows."""

    def step(self, actions):
        ended = np.flatnonzero(self._ended)
        out = super().step(actions)
        self._crowd.key[ended] = self.np_random.integers(2**63, size=len(ended)).astype(np.uint64)
        return out


class SameStepVector(GoodVector):
    def step(self, actions):
        self._ended[:] = False
        _, *rest = super().step(actions)
        ended = np.flatnonzero(self._ended)
        if len(ended):
            self.simulator.restart(self._crowd, ended)
        return self._observed(), *rest


class NoMasks(GoodVector):
    def step(self, actions):
        out = super().step(actions)
        del out[4]["_hate"]
        return out


class RewardsAfterTheEnd(GoodVector):
    def step(self, actions):
        ended = self._ended.copy()
        out = super().step(actions)
        out[1][ended] = 1
        return out


class ChangesActions(GoodVector):
    def step(self, actions):
        out = super().step(actions)
        actions[:] = 0
        return out


class WrongMode(GoodVector):
    metadata = {**GoodVector.metadata, "autoreset_mode": "whenever"}  # noqa: RUF012 - Gymnasium's contract


# ---------------------------------------------------------------- agents


@dataclass(frozen=True)
class CountSettings:
    """How a `GoodAgent` counts."""

    temperature: float = 1.0
    """Larger values make choices more alike."""


class CountPolicy:
    """Draws one item after the other with probability proportional to exp(score), never one twice."""

    def __init__(self, score: np.ndarray, k: int) -> None:
        self.score, self.k = score, k

    def start(self, n: int) -> Any:
        return ()

    def act(self, observation: Observation, memory: Any, noise: Noise) -> Choice:
        uniform = noise.uniform("policy item", self.k)
        item, log_prob = np.empty((len(uniform), self.k), np.int32), np.zeros(len(uniform))
        for i, row in enumerate(uniform):
            weight = np.exp(self.score).astype(np.float64)
            for j, u in enumerate(row):
                edges = np.cumsum(weight / weight.sum())
                item[i, j] = x = min(np.searchsorted(edges, u), len(weight) - 1)
                log_prob[i] += np.log(weight[x] / weight.sum())
                weight[x] = 0
        return Choice(item, log_prob, memory)


class GoodAgent:
    """Softmax over the mean seconds of each item; a little noise on the scores comes from the seed of learning."""

    Settings: ClassVar[type] = CountSettings
    learns_from: ClassVar[str] = "log"
    policy_class: ClassVar[type] = CountPolicy

    def __init__(self, settings: CountSettings, simulator: Simulator) -> None:
        self.settings, self.k = settings, simulator.slate_size
        self.score = np.zeros(len(simulator.catalog))
        self.policy = self.policy_class(self.score, self.k)

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        if log is None:
            raise WrongSetting("a log is needed.")
        count = np.bincount(log.array("item"), minlength=len(self.score))
        seconds = np.bincount(log.array("item"), log.array("watch_time_s"), len(self.score))
        self.score = np.log1p(seconds / np.maximum(count, 1)) / self.settings.temperature
        self.score += 0.1 * np.random.default_rng(seed).random(len(self.score))
        self.policy = self.policy_class(self.score, self.k)
        if report is not None:
            report(len(log), {"mean_score": float(self.score.mean())})
        return {"mean_score": float(self.score.mean())}

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "agent.json").write_text(json.dumps({"score": self.score.tolist()}))

    @classmethod
    def load(cls, folder: Path, simulator: Simulator) -> Any:
        agent = cls(cls.Settings(), simulator)
        agent.score = np.array(json.loads((folder / "agent.json").read_text())["score"])
        agent.policy = cls.policy_class(agent.score, agent.k)
        return agent


def agent_with(policy_class: type) -> type[GoodAgent]:
    """A `GoodAgent` with another policy."""
    return type(f"Agent{policy_class.__name__}", (GoodAgent,), {"policy_class": policy_class})


class UniformLogProb(CountPolicy):
    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        wrong = -np.log(len(self.score) - np.arange(self.k)).sum()
        return choice._replace(log_prob=np.full(len(choice.item), wrong))


class LogProbOfFirstItem(CountPolicy):
    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        weight = np.exp(self.score)
        return choice._replace(log_prob=np.log(weight[choice.item[:, 0]] / weight.sum()))


class WrongWithHistory(CountPolicy):
    """Knows its probabilities as long as there is no history."""

    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        return choice._replace(log_prob=choice.log_prob - 0.3 * (observation.history_item[:, -1] >= 0))


class Density(CountPolicy):
    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        return choice._replace(log_prob=choice.log_prob + 5)


class OneCoinForAll(CountPolicy):
    """Stable-Baselines3's DQN does this: one draw decides for the whole batch whether to explore."""

    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        if noise.uniform("policy explore")[0, 0] < 0.5:
            return choice._replace(item=choice.item[:, ::-1].copy())
        return choice


class SameItemTwice(CountPolicy):
    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        return choice._replace(item=np.repeat(choice.item[:, :1], self.k, axis=1))


class WideItems(CountPolicy):
    def act(self, observation, memory, noise):
        choice = super().act(observation, memory, noise)
        return choice._replace(item=choice.item.astype(np.int64))


class OwnDraws(CountPolicy):
    def act(self, observation, memory, noise):
        noise.uniform("like")
        return super().act(observation, memory, noise)


class RemembersItself(CountPolicy):
    calls = 0

    def act(self, observation, memory, noise):
        self.calls += 1
        choice = super().act(observation, memory, noise)
        return choice if self.calls % 2 else choice._replace(log_prob=choice.log_prob - 1)


class WritesObservation(CountPolicy):
    def act(self, observation, memory, noise):
        observation.flat[:, 0] = 7
        return super().act(observation, memory, noise)


class Pickles(GoodAgent):
    def save(self, folder):
        super().save(folder)
        (folder / "agent.pkl").write_bytes(pickle.dumps(self.score))


class PicklesUnderAnotherName(GoodAgent):
    def save(self, folder):
        super().save(folder)
        (folder / "weights.safetensors").write_bytes(pickle.dumps(self.score))


class ForgetsOnLoad(GoodAgent):
    @classmethod
    def load(cls, folder, simulator):
        return cls(cls.Settings(), simulator)


class UnseededLearning(GoodAgent):
    def learn(self, log, seed, report=None):
        return super().learn(log, seed if log is None else np.random.default_rng().integers(2**31), report)


class SeedsEverybody(GoodAgent):
    def learn(self, log, seed, report=None):
        losses = super().learn(log, seed, report)
        np.random.seed(seed)  # noqa: NPY002 - that is the fault
        return losses


class LearnsFromNothing(GoodAgent):
    def learn(self, log, seed, report=None):
        return {} if log is None else super().learn(log, seed, report)


class LosesItsLosses(GoodAgent):
    def learn(self, log, seed, report=None):
        return {**super().learn(log, seed, report), "loss": float("nan")}


class ChangesLog(GoodAgent):
    def learn(self, log, seed, report=None):
        losses = super().learn(log, seed, report)
        object.__setattr__(log, "table", log.table.reverse())
        return losses


class UnknownSource(GoodAgent):
    learns_from = "books"


@dataclass
class LooseSettings:
    """Not frozen."""

    temperature: float = 1.0
    """Documented."""


@dataclass(frozen=True)
class SilentSettings:
    """Nobody says what the field means."""

    temperature: float = 1.0


class NotFrozen(GoodAgent):
    Settings = LooseSettings


class NotDocumented(GoodAgent):
    Settings = SilentSettings


# ---------------------------------------------------------------- loaders

EVENTS = """user_id,item_id,time_ms,watch_time_s,duration_s,is_like
7,100,1650000000000,3.5,10,0
7,101,1650000005000,12.0,12,1
7,100,1650000060000,0.0,10,0
9,102,1650000001000,30.0,15,0
9,100,1650000031000,10.0,10,1
"""


def write_events(folder: Path) -> Path:
    """Two users, three videos, five events, as the event_log loader expects them by default."""
    (folder / "events.csv").write_text(EVENTS)
    return folder


def good_load(folder: Path, settings: Any = None) -> Dataset:
    return load_events(folder, settings)


def _log_with(data: Dataset, **columns: Any) -> InteractionLog:
    return InteractionLog(data.log.table.with_columns(**columns), data.log.feedback, data.log.source)


def loads_a_tuple(folder: Path, settings: Any = None) -> Any:
    return tuple(good_load(folder))


def loads_outside_ids(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    return data._replace(log=_log_with(data, item=data.log.table["item"] + 100))


def loads_backwards(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    return data._replace(log=InteractionLog(data.log.table.reverse(), data.log.feedback, data.log.source))


def loads_broken_sessions(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    return data._replace(log=_log_with(data, session=data.log.table["session"] * 0))


def loads_nan_profile(folder: Path, settings: Any = None) -> Dataset:
    return good_load(folder)._replace(profile=np.full((2, 1), np.nan, np.float32), profile_names=("age",))


def loads_narrow_profile(folder: Path, settings: Any = None) -> Dataset:
    return good_load(folder)._replace(profile=np.zeros((2, 1), np.float32))


def loads_wide_numbers(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    return data._replace(profile=data.profile.astype(np.float64))


def loads_the_same_id_twice(folder: Path, settings: Any = None) -> Dataset:
    return good_load(folder)._replace(user_outside_id=np.array([7, 7]))


def loads_numbers_as_notes(folder: Path, settings: Any = None) -> Dataset:
    return good_load(folder)._replace(notes=(3,))


def loads_nothing(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    return data._replace(log=data.log.where(np.zeros(len(data.log), bool)))


def writes_a_cache(folder: Path, settings: Any = None) -> Dataset:
    data = good_load(folder)
    (folder / "cache.npy").write_bytes(b"fast")
    return data


def loads_anything(folder: Path, settings: Any = None) -> Dataset:
    return good_load(folder if (folder / "events.csv").exists() else write_events(folder))


def trips_over_nothing(folder: Path, settings: Any = None) -> Dataset:
    (folder / "events.csv").stat()
    return good_load(folder)


def moves_the_global_generator(folder: Path, settings: Any = None) -> Dataset:
    np.random.random()  # noqa: NPY002 - that is the fault
    return good_load(folder)


class LoadsSomethingNew:
    """Every load brings another order of tags."""

    loads = 0

    def __call__(self, folder: Path, settings: Any = None) -> Dataset:
        data = good_load(folder)
        self.loads += 1
        tags = np.full_like(data.catalog.tags, self.loads)
        return data._replace(catalog=replace(data.catalog, tags=tags))
