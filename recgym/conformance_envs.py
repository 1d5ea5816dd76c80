"""`check_env`: whether an environment keeps Gymnasium's rules and ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check

from recgym.conformance import (
    Leaves,
    NotConforming,
    copied,
    difference,
    global_chance,
    leaves,
    require,
    untouched_chance,
)
from recgym.simulator import Simulator

AnyEnv = gym.Env[Any, Any]

EXPECTED_WARNINGS = (
    "minimum value is -infinity", "maximum value is infinity", "render modes due to the environment not having a spec",
)  # fmt: skip
"""Parts of Gymnasium's warnings that are advice and no fault."""


@dataclass
class Episode:
    """One episode as it was seen: copies of all that came back, step by step."""

    first: Leaves
    actions: list[Any] = field(default_factory=list)
    turns: list[Leaves] = field(default_factory=list)

    def observations(self) -> list[Leaves]:
        """What was observed: at the reset, and after every step."""
        return [_part(one, "observation") for one in (self.first, *self.turns)]


def check_env(
    env: AnyEnv | str | Callable[[], AnyEnv],
    *,
    episodes: int = 3,
    max_steps: int = 5_000,
    seed: int = 0,
    signals: Sequence[str] | None = None,
) -> None:
    """Check that an environment keeps the rules of Gymnasium and of RecGym; returns nothing if it does.

    Checked: Gymnasium's own checker, with no warning beyond its advice on infinite bounds; every observation in the
    space and in an array of its own; reward, flags and the signals of `info` plain Python numbers, with the same names
    at every step; no step after an end; `reset()` goes to another episode and `reset(seed=s)` comes back to the
    first; the same seed the same trajectory, another seed another one; the observation at the end of an episode is
    not the first one of an episode to come; the global generators neither moved nor read. Where the environment has
    a `simulator` and flat observations, the simulator is stepped beside it, and must show the same.

    Args:
        env: a Gymnasium id, a function that makes the environment, or the environment itself (which is played, and
            not closed).
        episodes: how many are played to their ends.
        max_steps: how many steps they may take together.
        seed: chooses seeds and actions.
        signals: names that `info` must have after every step; None = watch_time_s, all feedbacks and all costs where
            the environment has a `simulator`, otherwise the names of its first step.

    Raises:
        NotConforming: a rule was broken; `.rule` names it, the message says what was seen at which episode and step.
    """
    make = _maker(env)
    one = make()
    _check_gymnasium(one.unwrapped, seed)
    with global_chance(1):
        played = _play(one, seed, episodes, max_steps, _signals(one, signals))
    with global_chance(2):
        _check_repeats(played, _play(make(), seed, episodes, max_steps, None))
    _check_seeds(make(), played, seed)
    _check_last_observations(make(), played, seed)
    simulator = getattr(one.unwrapped, "simulator", None)
    if isinstance(simulator, Simulator) and list(played[0].observations()[0]) == ["observation"]:
        _check_against_simulator(simulator, played, seed)


def _maker(env: AnyEnv | str | Callable[[], AnyEnv]) -> Callable[[], AnyEnv]:
    if isinstance(env, str):
        return lambda: gym.make(env)
    if isinstance(env, gym.Env):
        return lambda: env
    return env


def sample_action(space: gym.Space[Any], rng: np.random.Generator) -> Any:
    """A random action; the k places of a slate (a MultiDiscrete of k equal numbers) all differ."""
    if isinstance(space, gym.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        room, k = int(space.nvec[0]), len(space.nvec)
        if (space.nvec == room).all() and k <= room:
            return rng.choice(room, k, replace=False).astype(space.dtype)
    space.seed(int(rng.integers(2**31)))
    return space.sample()


@contextmanager
def _distinct_samples(space: gym.Space[Any], seed: int) -> Iterator[None]:
    """Let `space.sample` give slates of distinct items for as long as Gymnasium's checker uses it."""
    if isinstance(space, gym.spaces.MultiDiscrete):
        rng = np.random.default_rng(seed)
        space.sample = lambda *_, **__: sample_action(space, rng)  # type: ignore[method-assign]
    try:
        yield
    finally:
        vars(space).pop("sample", None)


def _check_gymnasium(env: AnyEnv, seed: int) -> None:
    advice = "See gymnasium.utils.env_checker.check_env; it says which part of Gymnasium's contract is meant."
    with warnings.catch_warnings(record=True) as caught, _distinct_samples(env.action_space, seed):
        warnings.simplefilter("always")
        try:
            gymnasium_check(env)
        except Exception as error:
            raise NotConforming("Gymnasium's contract", f"{type(error).__name__}: {error}", advice) from error
    for warning in caught:
        text = str(warning.message)
        known = any(part in text for part in EXPECTED_WARNINGS)
        require(known or not issubclass(warning.category, UserWarning), "Gymnasium's contract", text, advice)


def _signals(env: AnyEnv, signals: Sequence[str] | None) -> tuple[str, ...]:
    simulator = getattr(env.unwrapped, "simulator", None)
    if signals is not None or not isinstance(simulator, Simulator):
        return tuple(signals or ())
    return ("watch_time_s", *simulator.users.feedback, *(f"cost_{name}" for name in simulator.objective.costs))


def _play(env: AnyEnv, seed: int, episodes: int, max_steps: int, signals: Sequence[str] | None) -> list[Episode]:
    """Play whole episodes with random actions. With `signals` (not None), look closely at everything."""
    rng = np.random.default_rng(seed)
    with untouched_chance("reset and step of the environment"):
        out = []
        for number in range(episodes):
            observation, info = env.reset(seed=seed if number == 0 else None)
            _check_observation(env, f"episode {number}, reset", observation)
            episode = Episode(copied(leaves({"observation": observation, "info": info}, "")))
            ended = False
            while not ended:
                at = f"episode {number}, step {len(episode.turns)}"
                advice = "Raise max_steps, or let users leave sooner."
                require(max_steps > 0, "episodes end", f"{at}: no end in sight", advice)
                max_steps -= 1
                kept, before = observation, copied(leaves(observation, "observation"))
                episode.actions.append(sample_action(env.action_space, rng))
                observation, *rest = env.step(episode.actions[-1])
                if signals is not None:
                    _look_closely(env, at, observation, rest, signals, _names(episode))
                    _check_not_reused(at, kept, before)
                turn = dict(zip(("reward", "terminated", "truncated", "info"), rest, strict=True))
                episode.turns.append(copied(leaves({"observation": observation, **turn}, "")))
                ended = bool(rest[1] or rest[2])
            _check_refused(env, f"episode {number}", episode.actions[-1])
            out.append(episode)
    return out


def _names(episode: Episode) -> set[str]:
    """Names in `info` at the first step of an episode; empty before it."""
    return set(_part(episode.turns[0], "info")) if episode.turns else set()


def _part(record: Leaves, name: str) -> Leaves:
    return {key: value for key, value in record.items() if key == name or key.startswith(f"{name}.")}


def _look_closely(
    env: AnyEnv, at: str, observation: Any, rest: list[Any], signals: Sequence[str], names: set[str]
) -> None:
    reward, terminated, truncated, info = rest
    _check_observation(env, at, observation)
    require(
        type(reward) is float and np.isfinite(reward) and type(terminated) is bool and type(truncated) is bool,
        "plain numbers", f"{at}: reward {reward!r}, terminated {terminated!r}, truncated {truncated!r}",
        "A finite Python float and two Python bools are needed; call .item() on NumPy numbers.",
    )  # fmt: skip
    missing = [name for name in signals if name not in info]
    now = set(leaves(info, "info"))
    missing += sorted((names ^ now) if names else set())
    require(
        not missing, "names in info", f"{at}: info has {', '.join(info)}; {', '.join(missing)} is not always there",
        "Name every signal at every step: watch_time_s, each feedback and each cost_<name>.",
    )  # fmt: skip
    for name in signals:
        require(
            type(info[name]) in (int, float, bool) and np.isfinite(info[name]), "plain numbers",
            f"{at}: info[{name!r}] is {info[name]!r} ({type(info[name]).__name__})",
            "A finite Python number is needed; the vector view takes its number type from it.",
        )  # fmt: skip


def _check_observation(env: AnyEnv, at: str, observation: Any) -> None:
    space = env.observation_space
    if observation in space:
        return
    shown = {name: f"{value.shape} {value.dtype}" for name, value in leaves(observation, "observation").items()}
    raise NotConforming(
        "observations lie in their space", f"{at}: {shown} is not in {space}",
        "Look at shapes, number types, bounds and the names of a Dict.",
    )  # fmt: skip


def _check_not_reused(at: str, kept: Any, before: Leaves) -> None:
    changed = difference(before, leaves(kept, "observation"))
    require(
        changed is None, "observations are new arrays", f"{at}: the step changed the observation before it: {changed}",
        "Answer with a new array at each step: replay buffers keep what they were given.",
    )  # fmt: skip


def _check_refused(env: AnyEnv, at: str, action: Any) -> None:
    try:
        env.step(action)
    except Exception:
        return
    raise NotConforming(
        "no step after the end", f"{at}: a step after its end was carried out",
        "Raise gymnasium.error.ResetNeeded until reset is called.",
    )  # fmt: skip


def _check_repeats(played: list[Episode], again: list[Episode]) -> None:
    for number, (one, other) in enumerate(zip(played, again, strict=True)):
        for step, (left, right) in enumerate(zip([one.first, *one.turns], [other.first, *other.turns], strict=False)):
            apart = difference(left, right)
            require(
                apart is None, "same seed, same trajectory",
                f"episode {number}, {'reset' if step == 0 else f'step {step - 1}'}: {apart}",
                "All follows from the seed given to reset and the number of resets since; own no other generator.",
            )  # fmt: skip
        require(
            len(one.turns) == len(other.turns), "same seed, same trajectory",
            f"episode {number} had {len(one.turns)} steps and then {len(other.turns)}", "See Gymnasium's reset(seed=).",
        )  # fmt: skip


def _check_seeds(env: AnyEnv, played: list[Episode], seed: int) -> None:
    """Other seeds and later episodes are other sessions; compared by first observations and the `info` beside them."""
    firsts = []
    for other in range(1, 6):
        observation, info = env.reset(seed=seed + other)
        firsts.append(copied(leaves({"observation": observation, "info": info}, "")))
    advice = "Draw the user and the luck from the seed, and count the episodes of a seed."
    require(
        any(difference(played[0].first, one) for one in firsts), "seeds make a difference",
        f"seeds {seed} .. {seed + 5} begin exactly alike", advice,
    )  # fmt: skip
    later = [episode.first for episode in played[1:]] or firsts
    require(
        any(difference(played[0].first, one) for one in later), "reset goes on",
        "reset() without a seed began the same episode again", advice,
    )  # fmt: skip


def _check_last_observations(env: AnyEnv, played: list[Episode], seed: int) -> None:
    """The observation at the end of an episode must not be a first observation of this or a later episode."""
    firsts = []
    for number in range(len(played) + 3):
        observation, _ = env.reset(seed=seed if number == 0 else None)
        firsts.append(copied(leaves({"observation": observation}, "")))
    if not any(difference(firsts[0], one) for one in firsts):
        return
    for number, episode in enumerate(played):
        last = episode.observations()[-1]
        for first in range(number, len(firsts)):
            require(
                difference(last, firsts[first]) is not None, "the last observation is of the user who left",
                f"episode {number} ended with the first observation of episode {first}",
                "Begin the next episode in reset, not in step: agents would learn that leaving leads to a new user.",
            )  # fmt: skip


def _check_against_simulator(simulator: Simulator, played: list[Episode], seed: int) -> None:
    """Show the same items to the simulator itself: observation, reward and flags must be the same at every step."""
    for number, episode in enumerate(played):
        crowd = simulator.start(np.array([seed]), number)
        shown = [{"observation": simulator.flat(crowd)[0]}]
        for turn in episode.turns:
            item = turn["info.item"].reshape(1, -1)
            seen = simulator.step(crowd, item)
            shown.append({
                "observation": simulator.flat(crowd)[0], "reward": np.asarray(seen.reward[0]),
                "terminated": np.asarray(seen.terminated[0]), "truncated": np.asarray(seen.truncated[0]),
            })  # fmt: skip
        for step, (one, other) in enumerate(zip([episode.first, *episode.turns], shown, strict=True)):
            apart = difference({name: one[name] for name in other}, other)
            require(
                apart is None, "a view shows the simulator", f"episode {number}, after {step} steps: {apart}",
                "A view must not change what the simulator gives; at an end it shows the user who left.",
            )  # fmt: skip
