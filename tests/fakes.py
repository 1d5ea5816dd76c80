"""A tiny world whose every number can be worked out by hand, and tiny policies to play it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.feedback import Response
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice
from recgym.session import FixedLength
from recgym.user_model import Habits

N_ITEMS = 8


def counting_catalog() -> Catalog:
    """Eight items of 2, 4, ..., 16 seconds; item i points along axis i modulo 4."""
    vector = np.eye(4, dtype=np.float32)[np.arange(N_ITEMS) % 4]
    return Catalog(
        vector=vector, duration_s=2 * np.arange(1, N_ITEMS + 1, dtype=np.float32),
        tags=(np.arange(N_ITEMS) % 4)[:, None].astype(np.int16), outside_id=100 + np.arange(N_ITEMS),
        appeal_vector=vector, appeal=np.zeros((N_ITEMS, 6), np.float32),
    )  # fmt: skip


class CountingState(NamedTuple):
    """Who it is, and how many items were shown so far; (n,) int64 each."""

    user: np.ndarray
    shown: np.ndarray


class CountingUsers:
    """Person u watches the t-th item of a visit (t = 0, 1, ...) for (u + t) % 8 seconds, and nothing is left to chance.

    `like`: the seconds are even. `hate`: nothing was watched. `lucky`: a fair coin, for tests of chance. Person u
    has patience u + 1 (see `LengthByPatience`).
    """

    feedback = ("like", "hate", "lucky")

    def __init__(self, n_users: int = 16) -> None:
        self.n_users = n_users

    def start(self, user: np.ndarray, noise: Noise) -> CountingState:
        return CountingState(np.array(user), np.zeros(len(user), np.int64))

    def observe(self, state: CountingState) -> np.ndarray:
        return np.stack([state.user, state.shown], axis=1).astype(np.float32)

    def respond(self, state: CountingState, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        place = state.shown[:, None] + np.arange(item.shape[1])
        watch = ((state.user[:, None] + place) % 8).astype(np.float32)
        lucky = noise.uniform("lucky", item.shape[1]) < 0.5
        return Response(watch, np.stack([watch % 2 == 0, watch == 0, lucky], axis=2))

    def change(
        self, state: CountingState, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise
    ) -> CountingState:
        return state._replace(shown=state.shown + item.shape[1])

    def rest(self, state: CountingState, gap_days: np.ndarray) -> CountingState:
        return state._replace(shown=np.zeros_like(state.shown))

    def habits(self, user: np.ndarray) -> Habits:
        return Habits((user + 1).astype(np.float32), np.ones(len(user), np.float32))


class LengthByPatience(FixedLength):
    """Every visit lasts exactly `patience` exposures: 1 for person 0, 2 for person 1, ..."""

    def start(self, habits: Habits) -> np.ndarray:
        return np.stack([np.zeros_like(habits.patience), habits.patience], axis=1)

    def leaves(self, state, habits, item, response, feedback, catalog, noise):
        state[:, 0] += item.shape[1]
        return state[:, 0] >= state[:, 1]


class TurnMemory(NamedTuple):
    """How many requests a policy has answered, (n,) int64."""

    turn: np.ndarray


class InTurn:
    """Shows items 0, 1, 2, ... in turn, k at a time, by its own count; remembers, and knows no chance."""

    def __init__(self, k: int = 1, first: int = 0) -> None:
        self.k, self.first = k, first

    def start(self, n: int) -> TurnMemory:
        return TurnMemory(np.zeros(n, np.int64))

    def act(self, observation: Observation, memory: TurnMemory, noise: Noise) -> Choice:
        item = (self.first + memory.turn[:, None] * self.k + np.arange(self.k)) % N_ITEMS
        return Choice(item.astype(np.int32), np.zeros(len(item)), TurnMemory(memory.turn + 1))


class Dice:
    """Shows uniformly random items, all in one slate different."""

    def __init__(self, k: int = 1, n_items: int = N_ITEMS) -> None:
        self.k, self.n_items = k, n_items

    def start(self, n: int) -> tuple[()]:
        return ()

    def act(self, observation: Observation, memory: tuple[()], noise: Noise) -> Choice:
        first = (noise.uniform("policy item")[:, 0] * self.n_items).astype(np.int32)
        item = (first[:, None] + np.arange(self.k, dtype=np.int32)) % self.n_items
        return Choice(item, np.full(len(item), -np.log(self.n_items)), ())
