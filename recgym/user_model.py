"""What a user model is: how users feel, answer and change, as pure functions on arrays."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from recgym.catalog import Catalog
from recgym.feedback import Response
from recgym.noise import Noise

State = TypeVar("State")
GivenState = TypeVar("GivenState", contravariant=True)


class Habits(NamedTuple):
    """How long a person's visits are and how soon the person returns, relative to the average person.

    patience: (n,) float32, multiplies the visit length; 1 = average.
    return_rate: (n,) float32, multiplies the odds of coming back on a day; 1 = average.
    """

    patience: np.ndarray
    return_rate: np.ndarray


class Expected(NamedTuple):
    """The true one-step expectations of a user model, for oracles, calibration and the `weights` action.

    watch_time_s: (n, k) float32, expected seconds.
    probability: (n, k, F) float32, probability of each feedback.
    """

    watch_time_s: np.ndarray
    probability: np.ndarray


@runtime_checkable
class UserModel(Protocol[State]):
    """How users feel, answer and change. Pure: everything remembered lives in the state.

    n users, k items on the slate, F kinds of feedback, P observed numbers. The state is a NamedTuple of
    arrays, each (n, ...). The user is always axis 0, and row i of an output depends on row i of the
    inputs only: n users stepped together are the same n users stepped one by one, bit for bit. Chance comes
    from `noise` alone. `recgym.testing.check_user_model` verifies all of this.
    """

    feedback: tuple[str, ...]
    """Names of the F feedback columns, for example ("like", "hate")."""

    n_users: int
    """How many different people there are; `start` is called with numbers 0 .. n_users - 1."""

    def start(self, user: np.ndarray, noise: Noise) -> State:
        """The state of persons `user` (n,) int64 as a visit begins."""
        ...

    def observe(self, state: State) -> np.ndarray:
        """(n, P) float32: the profile a platform would know. Never the latent interest."""
        ...

    def respond(self, state: State, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        """What the users do with the slate `item` (n, k) int32."""
        ...

    def change(self, state: State, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise) -> State:
        """The state after the slate: drift of interest, boredom, fatigue."""
        ...


@runtime_checkable
class ExpectingUserModel(Protocol[GivenState]):
    """A user model that can also say what it will do on average: needed by oracles and the `weights` action."""

    def expect(self, state: GivenState, item: np.ndarray, catalog: Catalog) -> Expected:
        """Expected watch time and feedback probabilities for items (n, k) int32, given the state."""
        ...


@runtime_checkable
class RestingUserModel(Protocol[State]):
    """A user model whose users recover between visits."""

    def rest(self, state: State, gap_days: np.ndarray) -> State:
        """The state after (n,) float32 days away."""
        ...


@runtime_checkable
class HabitualUserModel(Protocol):
    """A user model whose people differ in how long they stay and how soon they return."""

    def habits(self, user: np.ndarray) -> Habits:
        """Habits of persons `user` (n,) int64."""
        ...


def average_habits(user: np.ndarray) -> Habits:
    """The habits of average people, for user models that name none."""
    average = np.ones(len(user), np.float32)
    return Habits(average, average)
