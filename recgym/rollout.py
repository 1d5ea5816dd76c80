"""Whole episodes: every user in line is played from the start to the end, as many at once as there are places."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from recgym.catalog import Catalog
from recgym.errors import RecGymError, WrongSetting, WrongShape
from recgym.interaction_log import InteractionLog
from recgym.log_columns import as_table
from recgym.observation import Recorder
from recgym.policy import Choice, Policy, PrivilegedPolicy
from recgym.simulator import Crowd, Simulator, Turn

FINAL_OBSERVATION = "extra_final_observation"
"""Column of a log with observations: what would be observed after the last request of an episode, else null."""

_REFILL = 0.25
"""Share of the places whose users have ended at which the places are filled anew: few rows are stepped in vain."""


def rollout(
    policy: Policy,
    simulator: Simulator,
    seed: np.ndarray,
    *,
    episode: np.ndarray | int = 0,
    user: np.ndarray | None = None,
    observations: bool = False,
    batch: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> InteractionLog:
    """Play one whole episode of every user in line; nobody is left out and nobody is counted twice.

    At most `batch` users are stepped at once; the place of a user who ended goes to the next one in line. What row
    i experiences does not depend on `batch` or on the others in line (as long as the policy's row i does not).

    The policy draws its chance from `Crowd.noise`, the same source as the users, so the names of its draws must
    differ from theirs: call them "policy ..." ("policy item", "policy explore"). Two policies that use the same
    names meet the same luck, which makes their difference less noisy.

    Args:
        policy: chooses; if it is a `PrivilegedPolicy`, it looks at the simulator before each choice.
        simulator: the world.
        seed: (n,) whole numbers, n at least 1; the luck of each user in line.
        episode: (n,) or one number; another episode of a seed is another luck (and person, without `user`).
        user: (n,) persons of the user model; None draws each from its seed and episode.
        observations: keep what the policy saw as column `observation`, and what it would have seen after the last
            request of an episode as column `extra_final_observation` (null on all other requests).
        batch: how many users are stepped at once; changes time and memory, not the log.
        progress: called with the number of users who have ended so far, whenever it has grown.

    Returns:
        One row per shown item, sorted by session, step and position; the episodes in the order of `seed`. Columns:
        user, session (numbers the visits of the log from 0), step (request within the visit), position, item,
        watch_time_s, the feedbacks, propensity (of the whole slate; null where the policy knows none), reward,
        cost_<name>, terminated, truncated, return_gap_days (null unless the visit ended), seed, episode. What
        belongs to a request (reward, costs, ...) is repeated on each of its k rows. An episode ends with the
        request that is terminated or truncated; with `Simulator.visits` above 1 it holds several sessions.

    Raises:
        WrongShape: a seed, episode or user that is not (n,) whole numbers, or a policy's answer of a wrong shape.
        WrongSetting: a batch below 1, or a person who does not exist.
        WrongAction, BrokenUserModel: see `Simulator.step`.
    """
    stage = _Stage(policy, simulator, _checked_line(seed, episode, user), batch)
    tape = _Tape(simulator, observations)
    while stage.fill():
        before = stage.crowd.step.copy(), stage.crowd.visit.copy()
        flat, choice, turn = stage.play()
        tape.record(stage, before, flat, choice, turn)
        if progress is not None and stage.ended_now.any():
            progress(stage.n_ended)
    return tape.log(type(policy).__name__)


class _Line(NamedTuple):
    """The n users in line: seed and episode (n,) int64, user (n,) int64 or None."""

    seed: np.ndarray
    episode: np.ndarray
    user: np.ndarray | None


def _checked_line(seed: Any, episode: Any, user: Any) -> _Line:
    seed, episode = np.asarray(seed), np.asarray(episode)
    if seed.ndim != 1 or not len(seed) or seed.dtype.kind not in "iu":
        raise WrongShape(
            f"seed has shape {seed.shape}, type {seed.dtype}; (n,) whole numbers are needed, one for each of n >= 1 "
            "users, for example np.arange(1000)."
        )
    for name, array in (("episode", episode), ("user", None if user is None else np.asarray(user))):
        if array is None or (name == "episode" and array.shape == () and array.dtype.kind in "iu"):
            continue
        if array.shape != seed.shape or array.dtype.kind not in "iu":
            raise WrongShape(
                f"{name} has shape {array.shape}, type {array.dtype}; {seed.shape} whole numbers are needed, "
                "as many as seeds."
            )
    episode = np.array(np.broadcast_to(episode, seed.shape), np.int64)
    return _Line(np.array(seed, np.int64), episode, None if user is None else np.array(user, np.int64))


class _Stage:
    """The users being played. Row r on stage is row `row[r]` of the line; `playing[r]` until its episode ended."""

    def __init__(self, policy: Policy, simulator: Simulator, line: _Line, places: int) -> None:
        if places < 1:
            raise WrongSetting(f"batch is {places}; at least 1 user has to be stepped at once.")
        self.policy, self.simulator, self.places, self.line = policy, simulator, places, line
        self.oracle = policy if isinstance(policy, PrivilegedPolicy) else None
        self.n_started = self.n_ended = 0
        self.row = np.empty(0, np.int64)
        self.playing = self.ended_now = np.empty(0, np.bool_)
        self.crowd: Crowd
        self.memory: Any = ()

    def fill(self) -> bool:
        """Let those who ended go and the next in line come, once enough have ended; False when nobody is left."""
        stay = np.flatnonzero(self.playing)
        if len(self.playing) - len(stay) < _REFILL * len(self.playing):
            return True
        new = np.arange(self.n_started, min(self.n_started + self.places - len(stay), len(self.line.seed)))
        if not len(new) and not len(stay):
            return False
        if len(new):
            seed, episode, user = self.line
            crowd = self.simulator.start(seed[new], episode[new], None if user is None else user[new])
            memory = self.policy.start(len(new))
        if not len(stay):
            self.crowd, self.memory = crowd, memory
        else:
            self.crowd = _moved(self.crowd, stay, crowd if len(new) else None)
            self.memory = _moved(self.memory, stay, memory if len(new) else None)
        self.n_started += len(new)
        self.row = np.concatenate([self.row[stay], new])
        self.playing = np.ones(len(self.row), np.bool_)
        return True

    def play(self) -> tuple[np.ndarray, Choice, Turn]:
        """One request of everybody on stage: what was observed (flat), chosen and answered."""
        if self.oracle is not None:
            self.oracle.look(self.simulator, self.crowd)
        observation = self.simulator.observe(self.crowd)
        choice = self.policy.act(observation, self.memory, self.crowd.noise())
        turn = self.simulator.step(self.crowd, choice.item)
        self.memory = choice.memory
        self.ended_now = self.playing & (turn.terminated | turn.truncated)
        self.n_ended += int(self.ended_now.sum())
        return observation.flat, choice, turn


def _moved(kept: Any, rows: np.ndarray, new: Any) -> Any:
    """Some rows of a record of arrays, followed by the rows of another one like it (None = by nothing)."""
    if isinstance(kept, np.ndarray):
        return kept[rows] if new is None else np.concatenate([kept[rows], new])
    if isinstance(kept, Catalog | int):
        return kept
    if isinstance(kept, tuple):
        others = [None] * len(kept) if new is None else new
        columns = [_moved(column, rows, other) for column, other in zip(kept, others, strict=True)]
        return type(kept)(*columns) if hasattr(kept, "_fields") else tuple(columns)
    if isinstance(kept, Crowd | Recorder):
        moved = copy.copy(kept)
        for name, part in vars(kept).items():
            setattr(moved, name, _moved(part, rows, None if new is None else getattr(new, name)))
        return moved
    raise RecGymError(
        f"a {type(kept).__name__} came in the memory of a policy or the state of a user model; "
        "only NumPy arrays with axis 0 the user, and NamedTuples of them, can be taken along."
    )


class _Tape:
    """What happened, request by request; only users whose episode was still going are recorded."""

    def __init__(self, simulator: Simulator, observations: bool) -> None:
        self.simulator = simulator
        self.observations = observations
        self.moments: dict[str, list[np.ndarray]] = {}
        self.final_row: list[np.ndarray] = []
        self.final: list[np.ndarray] = []

    def record(
        self, stage: _Stage, before: tuple[np.ndarray, np.ndarray], flat: np.ndarray, choice: Choice, turn: Turn
    ) -> None:
        """Keep one request; `before` is step and visit of each user as they were when the policy chose."""
        crowd, (step, visit) = stage.crowd, before
        moment = {
            "row": stage.row, "user": crowd.user, "seed": crowd.seed, "episode": crowd.episode,
            "place": step, "visit": visit, "item": turn.item,
            "watch_time_s": turn.response.watch_time_s, "feedback": turn.response.feedback,
            "propensity": _propensity(choice.log_prob, len(crowd)), "reward": turn.reward,
            **{f"cost_{name}": cost for name, cost in turn.cost.items()},
            "terminated": turn.terminated, "truncated": turn.truncated,
            "return_gap_days": np.where(turn.left, turn.return_gap_days, np.float32(np.nan)),
        }  # fmt: skip
        if self.observations:
            moment["observation"] = flat
            self._record_final(stage)
        kept = np.flatnonzero(stage.playing)
        for name, column in moment.items():
            self.moments.setdefault(name, []).append(column[kept])
        stage.playing &= ~stage.ended_now

    def _record_final(self, stage: _Stage) -> None:
        ended = np.flatnonzero(stage.ended_now)
        if len(ended):
            self.final_row.append(stage.row[ended])
            self.final.append(self.simulator.flat(stage.crowd)[ended])

    def log(self, policy: str) -> InteractionLog:
        """All requests, ordered by user in line and time, one row per shown item."""
        order, last = _order(np.concatenate(self.moments["row"]), np.concatenate(self.moments["place"]))
        request = {name: np.concatenate(self.moments.pop(name))[order] for name in list(self.moments)}
        k, feedback = self.simulator.slate_size, self.simulator.users.feedback
        session, step = _sessions(request.pop("row"), request.pop("visit"))
        request |= {"session": session, "step": step}
        del request["place"]
        answers = request.pop("feedback").reshape(-1, len(feedback))
        columns = {
            "position": np.tile(np.arange(k, dtype=np.int16), len(session)),
            "item": request.pop("item").ravel(),
            "watch_time_s": request.pop("watch_time_s").ravel(),
            **{name: np.ascontiguousarray(answers[:, f]) for f, name in enumerate(feedback)},
        }
        table = as_table(columns | {name: np.repeat(column, k, axis=0) for name, column in request.items()})
        if self.observations:
            table = table.with_columns(self._final_column(last, len(session), k))
        return InteractionLog(table, feedback, {"made by": "recgym.rollout", "policy": policy})

    def _final_column(self, last: np.ndarray, n_requests: int, k: int) -> pl.Series:
        """Lists on the last request of each episode, null elsewhere (a fixed-length column would take room there)."""
        which = np.full(n_requests, -1, np.int64)
        which[last[np.concatenate(self.final_row)]] = np.arange(len(last))
        place = pl.Series(np.repeat(which, k))
        place = pl.select(pl.when(place >= 0).then(place).otherwise(None).cast(pl.UInt32)).to_series()
        vectors = pl.Series(FINAL_OBSERVATION, np.concatenate(self.final))
        return vectors.arr.to_list().gather(place)


def _propensity(log_prob: np.ndarray, n: int) -> np.ndarray:
    """(n,) float64 probabilities, NaN = unknown; rounding may lift a logarithm a little above 0, not further."""
    log_prob = np.asarray(log_prob, np.float64)
    if log_prob.shape != (n,):
        raise WrongShape(f"the policy's log_prob has shape {log_prob.shape}; {(n,)} is needed, one per user.")
    wrong = (log_prob > 1e-4) | np.isneginf(log_prob)
    if wrong.any():
        row = int(wrong.argmax())
        raise WrongSetting(
            f"row {row}: the policy chose a slate with log_prob {log_prob[row]}; logarithms of probabilities are "
            "finite and at most 0 (NaN where the probability is unknown)."
        )
    return np.asarray(np.exp(np.minimum(log_prob, 0.0)))


def _order(row: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which request comes at each position, ordered by row and place (0, 1, ... in each row), and each row's last."""
    length = np.bincount(row)
    end = np.cumsum(length)
    order = np.empty(len(row), np.int64)
    order[(end - length)[row] + place] = np.arange(len(row))
    return order, end - 1


def _sessions(row: np.ndarray, visit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the visit within the log, and of the request within the visit, from ordered requests."""
    begins = np.ones(len(row), np.bool_)
    begins[1:] = (row[1:] != row[:-1]) | (visit[1:] != visit[:-1])
    session = np.cumsum(begins) - 1
    return session, np.arange(len(row)) - np.flatnonzero(begins)[session]
