"""Playing policies, looking closely at their choices, and comparing `log_prob` with how often a slate is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from recgym.conformance import Leaves, copied, leaves, pure_call, require
from recgym.conformance_luck import OnceNoise
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Policy, PrivilegedPolicy
from recgym.ranking import top_k_of_scores
from recgym.rollout import rollout
from recgym.simulator import Crowd, Simulator

DRAWS = 4_000
"""How often one user's choice is repeated to compare `log_prob` with frequencies."""

_EARLIER = 3
_COMMON = 20
_STANDARD_ERRORS = 4.5


class _AnySlate:
    """Every ordered slate equally likely; for catalogues small enough to shuffle."""

    def __init__(self, simulator: Simulator) -> None:
        self.room, self.k = simulator.n_actions, simulator.slate_size

    def start(self, n: int) -> tuple[()]:
        return ()

    def act(self, observation: Observation, memory: Any, noise: Noise) -> Choice:
        place = top_k_of_scores(noise.uniform("policy shuffle", self.room), self.k)
        item = (
            np.take_along_axis(observation.candidate, place.astype(np.int64), 1)
            if observation.candidate.size
            else place
        )
        log_prob = -np.log(self.room - np.arange(self.k)).sum()
        return Choice(item, np.full(len(item), log_prob), memory)


def random_log(simulator: Simulator, seed: int, n: int = 64) -> InteractionLog:
    """Sessions of n users under a uniformly random policy, with observations and propensities."""
    return rollout(_AnySlate(simulator), simulator, seed + 1_000 + np.arange(n), observations=True)


def _look(policy: Policy, simulator: Simulator, crowd: Crowd) -> None:
    if isinstance(policy, PrivilegedPolicy):
        policy.look(simulator, crowd)


def play(policy: Policy, simulator: Simulator, seeds: np.ndarray, steps: int) -> list[Leaves]:
    """Choices, step by step, of users with these seeds; who left keeps being asked, so that rows stay aligned."""
    crowd = simulator.start(seeds)
    memory = policy.start(len(seeds))
    story = []
    for _ in range(steps):
        _look(policy, simulator, crowd)
        choice = policy.act(simulator.observe(crowd), memory, crowd.noise())
        story.append(copied({"item": np.asarray(choice.item), "log_prob": np.asarray(choice.log_prob)}))
        memory = choice.memory
        simulator.step(crowd, choice.item)
    return story


def inspect_policy(policy: Policy, simulator: Simulator, seeds: np.ndarray, steps: int, when: str) -> None:
    """Play one session, looking closely at every choice: purity, names of draws, shapes, candidates, log_prob."""
    crowd = simulator.start(seeds)
    memory = pure_call(f"{when}, start", policy.start, (len(seeds),))
    for step in range(steps):
        at = f"{when}, step {step}"
        _look(policy, simulator, crowd)
        seen, luck = simulator.observe(crowd), crowd.noise()
        once = OnceNoise(luck.key, luck.step, of_policy=True)
        choice = pure_call(f"{at}, act", policy.act, (seen, memory, once), (seen, memory, luck))
        _check_choice(at, choice, seen, simulator)
        for name, part in leaves(choice.memory, "memory").items():
            require(
                choice.memory == () or (part.shape[:1] == (len(seeds),) and part.dtype != object), "choices",
                f"{at}: {name} is {part.shape} {part.dtype}",
                "Memory is () or a NamedTuple of arrays with one row per user.",
            )  # fmt: skip
        memory = choice.memory
        simulator.step(crowd, choice.item)


def _check_choice(at: str, choice: Any, seen: Observation, simulator: Simulator) -> None:
    n, k = len(seen.profile), simulator.slate_size
    require(
        isinstance(choice, Choice), "choices", f"{at}: act answered a {type(choice).__name__}", "A Choice is needed."
    )
    item, log_prob = choice.item, choice.log_prob
    kind = f"{item.shape} {item.dtype}" if isinstance(item, np.ndarray) else type(item).__name__
    require(
        isinstance(item, np.ndarray) and item.shape == (n, k) and item.dtype == np.int32, "choices",
        f"{at}: item is {kind}", f"{(n, k)} int32 is needed.",
    )  # fmt: skip
    if seen.candidate.shape[1]:
        offered = (item[:, :, None] == seen.candidate[:, None, :]).any(axis=2)
    else:
        offered = (item >= 0) & (item < len(simulator.catalog))
    twice = (np.diff(np.sort(item, axis=1), axis=1) == 0).any(axis=1)
    row = np.flatnonzero(~offered.all(axis=1) | twice)
    require(
        not len(row), "choices", f"{at}, row {row[:1]}: slate {item[row[:1]].tolist()}",
        "Each item of a slate is one of the user's candidates (or of the catalogue), and is there once.",
    )  # fmt: skip
    good = isinstance(log_prob, np.ndarray) and log_prob.shape == (n,) and log_prob.dtype == np.float64
    wrong = np.flatnonzero(~(np.isnan(log_prob) | (log_prob <= 1e-9)) | np.isneginf(log_prob)) if good else np.zeros(1)
    require(
        good and not len(wrong), "log_prob is a log probability",
        f"{at}, row {wrong[:1]}: log_prob is {log_prob[wrong[:1]] if good else log_prob!r}",
        f"({n},) float64, finite and at most 0, is needed; 0 if the choice is certain, NaN if nobody can say.",
    )  # fmt: skip


def check_probabilities(policy: Policy, simulator: Simulator, seed: int, when: str) -> None:
    """Let one user choose 4,000 times with different luck, and compare `log_prob` with how often each slate came.

    Done as the visit begins and again after three steps, when there is a history. The copies of the user share
    seed and luck, and so all they see, until then. The commonest slates are compared one by one. With many
    rare slates, the total probability of those that never came is compared with its estimate by Good and Turing, the
    share of slates that came once.
    """
    crowd, memory = simulator.start(np.full(DRAWS, seed)), policy.start(DRAWS)
    for step in range(_EARLIER + 1):
        _look(policy, simulator, crowd)
        seen = simulator.observe(crowd)
        if step in (0, _EARLIER):
            noise = Noise.of(np.arange(DRAWS) + 10**6, np.zeros(DRAWS, np.int64), step)
            _compare_frequencies(policy.act(seen, memory, noise), f"{when}, step {step}")
        shared = policy.act(seen, memory, crowd.noise())
        memory = shared.memory
        simulator.step(crowd, shared.item)


def _compare_frequencies(choice: Choice, when: str) -> None:
    if np.isnan(choice.log_prob).all():
        return
    _, first, which, count = np.unique(
        choice.item, axis=0, return_index=True, return_inverse=True, return_counts=True
    )  # fmt: skip
    p = np.exp(choice.log_prob[first])
    spread = np.abs(choice.log_prob - choice.log_prob[first][which.ravel()])
    row = int(spread.argmax())
    rule, advice = (
        "log_prob is a log probability",
        ("log_prob is the logarithm of the probability of this ordered slate, given what the user's row shows."),
    )
    require(
        spread[row] < 1e-9, rule, f"{when}: the same slate {choice.item[row].tolist()} came with log_prob "
        f"{choice.log_prob[row]} and {choice.log_prob[first][which.ravel()][row]}", advice,
    )  # fmt: skip
    for slate in np.argsort(-count)[:_COMMON]:
        room = _STANDARD_ERRORS * np.sqrt(max(p[slate] * (1 - p[slate]), 0) * DRAWS) + 3
        require(
            abs(count[slate] - DRAWS * p[slate]) <= room, rule,
            f"{when}: slate {choice.item[first[slate]].tolist()} came {count[slate]} times of {DRAWS}, log_prob says "
            f"{DRAWS * p[slate]:.1f} (allowed difference {room:.1f})", advice,
        )  # fmt: skip
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    room = _STANDARD_ERRORS * np.sqrt(once + 2 * twice) / DRAWS + 3 / DRAWS
    require(
        abs(1 - p.sum() - once / DRAWS) <= room, rule,
        f"{when}: the {len(p)} slates that came have total probability {p.sum():.4f} by log_prob, about "
        f"{1 - once / DRAWS:.4f} by their frequencies (allowed difference {room:.4f})", advice,
    )  # fmt: skip
