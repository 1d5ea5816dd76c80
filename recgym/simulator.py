"""The simulator: the only place where time advances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from recgym.bookkeeping import Outcome, account_rows, begin_rows
from recgym.candidates import Candidates, WholeCatalog
from recgym.catalog import Catalog
from recgym.compiled import compiled
from recgym.errors import BrokenUserModel, WrongAction, WrongSetting, WrongShape
from recgym.feedback import Response
from recgym.noise import Noise
from recgym.objective import Objective
from recgym.observation import Clock, Observation, Recorder
from recgym.session import Patience, SessionModel
from recgym.user_model import Habits, HabitualUserModel, RestingUserModel, UserModel, average_habits
from recgym.users.calibrated import CalibratedUsers

PROFILE_BOUND = 1e6
"""Largest number a profile or a watch time may hold."""

_TAKEN = {"watch_time_s", "skip", "early_exit", "item", "left", "return_gap_days", "user", "episode",
          "slate_watch_time_s", "slate_feedback", "reward"}  # fmt: skip


class Turn(NamedTuple):
    """What happened in one step of n users, k items each.

    item: (n, k) int32, what was shown. response: the answers. total: (n, T) float64, the answers summed over the
    slate, columns in `recgym.objective.signal_names`. reward: (n,) float64. cost: name -> (n,) float64. left: (n,)
    bool, the visit ended. return_gap_days: (n,) float32, 0 where nobody left. terminated: (n,) bool, the user left for
    good (after the last visit). truncated: (n,) bool, we stopped watching.
    """

    item: np.ndarray
    response: Response
    total: np.ndarray
    reward: np.ndarray
    cost: dict[str, np.ndarray]
    left: np.ndarray
    return_gap_days: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Crowd:
    """n users in the middle of their sessions. Made by `Simulator.start`; changed in place by `Simulator.step`.

    seed, episode, step: (n,) int64, the address of each user's luck; `step` counts requests of the episode.
    user: (n,) int64, which person of the user model. state: the user model's state.
    visit: (n,) int64, finished visits of this episode. candidate: (n, m) int32, see `Observation.candidate`.
    """

    def __init__(self, seed: np.ndarray, episode: np.ndarray, recorder: Recorder) -> None:
        n = len(seed)
        self.seed = seed
        self.episode = episode
        self.step = np.zeros(n, np.int64)
        self.key = np.empty(n, np.uint64)
        self.user = np.empty(n, np.int64)
        self.state: Any = ()
        self.session = np.empty((n, 0), np.float32)
        self.habits = Habits(np.empty(0, np.float32), np.empty(0, np.float32))
        self.visit = np.zeros(n, np.int64)
        self.clock_h = np.zeros(n, np.float64)
        self.days_away = np.zeros(n, np.float32)
        self.seconds_watched = np.zeros(n, np.float32)
        self.recorder = recorder
        self.candidate = np.empty((n, 0), np.int32)

    def __len__(self) -> int:
        return len(self.seed)

    def noise(self) -> Noise:
        """The luck of the present step."""
        return Noise(self.key, self.step)

    @property
    def profile(self) -> np.ndarray:
        """(n, P) float32, a view of what the platform knows of each person."""
        return self.recorder.profile

    def clock(self) -> Clock:
        """Where the users stand in time."""
        return Clock(self.session, self.visit, self.clock_h, self.days_away, self.seconds_watched)

    def ledger(self) -> tuple[np.ndarray, ...]:
        """The arrays that every step moves forward, in the order in which `account_rows` takes them."""
        memory = self.recorder
        return (self.step, self.visit, self.clock_h, self.seconds_watched, self.session, memory.item,
                memory.watch_time_s, memory.feedback, memory.table, memory.count)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Simulator:
    """A world: who watches, what can be shown, when users leave, what counts. Holds no moving state itself.

    Raises:
        WrongSetting: settings that contradict each other.
        UnknownName: an objective that needs a feedback which these users do not give.
    """

    users: UserModel[Any]
    """How users feel, answer and change."""

    catalog: Catalog
    """What can be shown."""

    session: SessionModel = field(default_factory=Patience)
    """When users leave and come back."""

    objective: Objective = field(default_factory=Objective)
    """Reward, costs and limits."""

    candidates: Candidates = field(default_factory=WholeCatalog)
    """Which items can be chosen at a step."""

    slate_size: int = 1
    """k, the number of items shown at a step."""

    visits: int = 1
    """Visits per episode; with more than one, users who left come back after `return_gap_days`."""

    max_steps: int = 500
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        room = self.candidates.size or len(self.catalog)
        if not 1 <= self.slate_size <= room:
            raise WrongSetting(f"slate_size is {self.slate_size}; it must lie between 1 and the {room} candidates.")
        if self.visits < 1 or self.max_steps < 1:
            raise WrongSetting(f"visits={self.visits}, max_steps={self.max_steps}: both must be at least 1.")
        _check_names(type(self.users).__name__, self.users.feedback)
        self.objective.check(self.users.feedback)

    @property
    def n_actions(self) -> int:
        """How many items can be chosen at a step."""
        return self.candidates.size or len(self.catalog)

    def start(self, seed: np.ndarray, episode: np.ndarray | int = 0, user: np.ndarray | None = None) -> Crowd:
        """Begin an episode for n users.

        Args:
            seed: (n,) whole numbers; a user's whole luck follows from its seed and episode.
            episode: (n,) or one number; another episode of a seed is another person with another luck.
            user: (n,) persons of the user model; None draws each from its seed and episode.
        """
        seed = np.array(seed, np.int64)
        user = None if user is None else self._checked_persons(user, len(seed))
        episode = np.array(np.broadcast_to(np.asarray(episode, np.int64), seed.shape))
        crowd = Crowd(seed, episode, Recorder(len(seed), self.catalog, len(self.users.feedback), 0))
        self._begin(crowd, np.arange(len(seed)), user, whole=True)
        return crowd

    def restart(self, crowd: Crowd, rows: np.ndarray, user: np.ndarray | None = None) -> None:
        """Begin the next episode of the same seeds for some rows ((r,) row numbers)."""
        user = None if user is None else self._checked_persons(user, len(rows))
        crowd.episode[rows] += 1
        self._begin(crowd, rows, user, whole=False)

    def step(self, crowd: Crowd, item: np.ndarray) -> Turn:
        """Show slates `item` (n, k) to all users and advance time by one step.

        Raises:
            WrongShape, WrongAction: slates that are not (n, k) whole numbers of existing items.
            BrokenUserModel: the user model answered with a wrong shape, NaN or a negative time.
        """
        item = self._checked_items(crowd, item)
        n, k = item.shape
        watch, feedback = np.empty((n, k), np.float32), np.empty((n, k, len(self.users.feedback)), np.bool_)
        out = Outcome(np.empty((n, len(self._weights))), np.empty(n), np.empty((n, 3), np.bool_))
        users: Any = self.users
        if type(users) is CalibratedUsers and type(self.session) is Patience:  # exactly these: a subclass may differ
            n_left = users.step_with(
                self.session, crowd, self.catalog, item, watch, feedback, out, self._weights, self._ends
            )
            response = Response(watch, feedback)
        else:
            response = self._step_by_parts(crowd, item, out)
            n_left = int(out.end[:, 0].sum())
        gap = np.zeros(n, np.float32)
        if n_left:
            self._end_visits(crowd, out, gap)
        if not self._static_profile:
            crowd.profile[:] = self._checked_profile(crowd.state, n, crowd.profile.shape[1])
        if self.candidates.size:
            crowd.candidate = self._candidates(crowd)
        cost = {name: out.total[:, column] for name, column in self._costs.items()}
        return Turn(item, response, out.total, out.reward, cost, out.end[:, 0], gap, out.end[:, 1], out.end[:, 2])

    def _step_by_parts(self, crowd: Crowd, item: np.ndarray, out: Outcome) -> Response:
        """The step for any user model and session model, one after the other."""
        noise = crowd.noise()
        response = self.users.respond(crowd.state, item, self.catalog, noise)
        self._check_response(response, item.shape)
        crowd.state = self._checked_state(
            self.users.change(crowd.state, item, response, self.catalog, noise), len(crowd)
        )
        out.end[:, 0] = self.session.leaves(
            crowd.session, crowd.habits, item, response, self.users.feedback, self.catalog, noise
        )
        book: Any = account_rows
        book(0, len(crowd), *out, *crowd.ledger(), item, response.watch_time_s, response.feedback,
             self.catalog.vector, self.catalog.duration_s, self.catalog.log_duration, self._weights,
             self._ends)  # fmt: skip
        return response

    def flat(self, crowd: Crowd) -> np.ndarray:
        """(n, D) float32, a new array: the flat observation of all users."""
        candidate = crowd.candidate if self.candidates.size else None
        return crowd.recorder.flat(crowd.clock(), candidate)

    def observe(self, crowd: Crowd) -> Observation:
        """All that is known of the users; the arrays are copies."""
        return Observation(crowd.profile.copy(), self.context(crowd), *crowd.recorder.ordered(),
                           crowd.candidate.copy(), self.flat(crowd))  # fmt: skip

    def context(self, crowd: Crowd) -> np.ndarray:
        """(n, 6) float32, columns in `recgym.observation.CONTEXT`."""
        return crowd.clock().context()

    @cached_property
    def _weights(self) -> np.ndarray:
        return self.objective.weights(self.users.feedback)

    @cached_property
    def _costs(self) -> dict[str, int]:
        return self.objective.cost_columns(self.users.feedback)

    @cached_property
    def _habits(self) -> Callable[[np.ndarray], Habits]:
        return self.users.habits if isinstance(self.users, HabitualUserModel) else average_habits

    @cached_property
    def _resting(self) -> RestingUserModel[Any] | None:
        return self.users if isinstance(self.users, RestingUserModel) else None

    @cached_property
    def _static_profile(self) -> bool:
        """Whether the very class of the users promises it; a subclass may override `observe`."""
        return bool(vars(type(self.users)).get("profile_is_static", False))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.array([self.visits, self.max_steps], np.int64)

    def _begin(self, crowd: Crowd, rows: np.ndarray, user: np.ndarray | None, whole: bool) -> None:
        if user is not None:
            crowd.user[rows] = user
        memory = crowd.recorder
        begin_rows(rows, crowd.seed, crowd.episode, crowd.key, crowd.step, crowd.user,
                   self.users.n_users if user is None else 0, crowd.visit, crowd.clock_h, crowd.days_away,
                   crowd.seconds_watched, memory.item, memory.watch_time_s, memory.feedback, memory.table,
                   memory.count)  # fmt: skip
        persons = crowd.user[rows]
        habits = self._habits(persons)
        session = self.session.start(habits)
        if whole:
            state = self._started(crowd, rows, persons)
            crowd.state, crowd.habits, crowd.session = state, Habits(*map(np.array, habits)), session
            profile = self._checked_profile(state, len(rows))
            crowd.recorder = Recorder(len(rows), self.catalog, len(self.users.feedback), profile.shape[1])
            crowd.profile[:] = profile
        else:
            self._put_started(crowd, rows, persons)
            put(crowd.habits, rows, habits, in_place=True)
            crowd.session[rows] = session
        if self.candidates.size:
            crowd.candidate = self._candidates(crowd)

    def _started(self, crowd: Crowd, rows: np.ndarray, persons: np.ndarray) -> Any:
        noise = Noise(crowd.key[rows], np.full(len(rows), -1))
        return self._checked_state(self.users.start(persons, noise), len(rows))

    def _put_started(self, crowd: Crowd, rows: np.ndarray, persons: np.ndarray) -> None:
        users: Any = self.users
        if type(users) is CalibratedUsers:  # its arrays are the crowd's own, and its profiles were checked before
            users.start_into(crowd.state, rows, persons)
            crowd.profile[rows] = users.profile_of(persons)
            return
        state = self._started(crowd, rows, persons)
        crowd.state = put(crowd.state, rows, state)
        crowd.profile[rows] = self._checked_profile(state, len(rows), crowd.profile.shape[1])

    def _checked_persons(self, user: np.ndarray, n: int) -> np.ndarray:
        user = np.asarray(user)
        if user.shape != (n,) or user.dtype.kind not in "iu":
            raise WrongShape(f"user has shape {user.shape}, type {user.dtype}; ({n},) whole numbers are needed.")
        if ((user < 0) | (user >= self.users.n_users)).any():
            raise WrongSetting(f"user holds {user.min()}..{user.max()}; persons are 0..{self.users.n_users - 1}.")
        return user.astype(np.int64)

    def _candidates(self, crowd: Crowd) -> np.ndarray:
        liked = crowd.recorder.liked
        return self.candidates.choose(self.catalog, liked, crowd.clock_h, crowd.noise())

    def _end_visits(self, crowd: Crowd, out: Outcome, gap: np.ndarray) -> None:
        """Send home the users who left; those with visits to come return at once in world time."""
        left = np.flatnonzero(out.end[:, 0])
        noise = Noise(crowd.key[left], crowd.step[left] - 1)
        gap[left] = self.session.return_gap_days(crowd.session[left], take(crowd.habits, left), noise)
        back = left[~out.end[left, 1]]
        if len(back):
            crowd.days_away[back] = gap[back]
            crowd.clock_h[back] += 24 * gap[back]
            if self._resting is not None:
                rows = take(crowd.state, back)
                crowd.state = put(crowd.state, back, self._resting.rest(rows, gap[back]))
            crowd.session[back] = self.session.start(take(crowd.habits, back))

    def _checked_items(self, crowd: Crowd, item: np.ndarray) -> np.ndarray:
        item = np.asarray(item)
        if item.shape != (len(crowd), self.slate_size) or item.dtype.kind not in "iu":
            raise WrongShape(
                f"slates have shape {item.shape} and type {item.dtype}; {(len(crowd), self.slate_size)} whole "
                "numbers are needed: one row of item numbers per user."
            )
        bad = _first_bad_item(item, len(self.catalog))
        if bad >= 0:
            raise WrongAction(
                f"row {bad}: slate {item[bad].tolist()}; items are 0..{len(self.catalog) - 1}, each at most once."
            )
        return np.array(item, np.int32, order="C")  # a copy: the caller may use the buffer again

    def _check_response(self, response: Response, shape: tuple[int, ...]) -> None:
        name = type(self.users).__name__
        if not isinstance(response, Response) or not all(isinstance(part, np.ndarray) for part in response):
            raise BrokenUserModel(f"{name}.respond gave {type(response).__name__}; a Response of two arrays is needed.")
        watch, feedback = response
        wanted = (*shape, len(self.users.feedback))
        if watch.shape != shape or feedback.shape != wanted or watch.dtype != np.float32 or feedback.dtype != np.bool_:
            raise BrokenUserModel(
                f"{name}.respond gave watch_time_s {watch.shape} {watch.dtype} and feedback {feedback.shape} "
                f"{feedback.dtype}; needed are {shape} float32 and {wanted} bool."
            )
        bad = _first_bad_time(watch)
        if bad >= 0:
            raise BrokenUserModel(
                f"{name}.respond gave watch_time_s {watch[bad].tolist()} to row {bad}; "
                f"seconds from 0 to {PROFILE_BOUND:g} are needed."
            )

    def _checked_state(self, state: Any, n: int) -> Any:
        name = type(self.users).__name__
        if not isinstance(state, tuple) or not hasattr(state, "_fields"):
            raise BrokenUserModel(f"{name} gave a {type(state).__name__} as state; a NamedTuple of arrays is needed.")
        for field_name, column in zip(state._fields, state, strict=True):
            if not isinstance(column, np.ndarray) or column.shape[:1] != (n,):
                what = column.shape if isinstance(column, np.ndarray) else type(column).__name__
                raise BrokenUserModel(f"{name}'s state has {field_name} {what}; an array of {n} rows is needed.")
        return state

    def _checked_profile(self, state: Any, n: int, width: int | None = None) -> np.ndarray:
        """(n, P) float32, an array of the simulator's own; P is `width` where the episode has begun."""
        profile = np.array(self.users.observe(state))
        shape = (n, profile.shape[-1] if width is None and profile.ndim else width)
        if profile.ndim != 2 or profile.shape != shape or profile.dtype != np.float32:
            raise BrokenUserModel(
                f"{type(self.users).__name__}.observe gave shape {profile.shape}, type {profile.dtype}; "
                f"({n}, {'P' if width is None else width}) float32 is needed."
            )
        fine = np.abs(profile) <= PROFILE_BOUND
        if not fine.all():
            row = int(np.flatnonzero(~fine.all(axis=1))[0])
            raise BrokenUserModel(
                f"{type(self.users).__name__}.observe gave {profile[row].tolist()} to row {row}; "
                f"numbers between -{PROFILE_BOUND:g} and {PROFILE_BOUND:g} are needed."
            )
        return profile


def _check_names(model: str, feedback: tuple[str, ...]) -> None:
    """Refuse feedback names that would overwrite each other or another signal."""
    for name in feedback:
        if not isinstance(name, str) or not name.isidentifier() or name in _TAKEN or name.startswith("cost_"):
            raise WrongSetting(
                f"{model}.feedback holds {name!r}; an identifier is needed that is none of {', '.join(sorted(_TAKEN))} "
                "and does not begin with cost_."
            )
    if len(set(feedback)) < len(feedback):
        raise WrongSetting(f"{model}.feedback is {feedback}; each name may stand there once.")


def take(record: Any, rows: np.ndarray | slice) -> Any:
    """Some rows of a NamedTuple of arrays."""
    return type(record)(*(column[rows] for column in record))


def put(record: Any, rows: np.ndarray, values: Any, in_place: bool = False) -> Any:
    """A NamedTuple of arrays with some rows exchanged; as a copy unless the caller owns the arrays."""
    columns = list(record) if in_place else [np.array(column) for column in record]
    for column, value in zip(columns, values, strict=True):
        column[rows] = value
    return type(record)(*columns)


@compiled
def _first_bad_item(item: np.ndarray, size: int) -> int:
    for i in range(item.shape[0]):
        for j in range(item.shape[1]):
            if item[i, j] < 0 or item[i, j] >= size:
                return i
            for c in range(j):
                if item[i, c] == item[i, j]:
                    return i
    return -1


@compiled
def _first_bad_time(watch: np.ndarray) -> int:
    for i in range(watch.shape[0]):
        for j in range(watch.shape[1]):
            if not 0.0 <= watch[i, j] <= PROFILE_BOUND:
                return i
    return -1
