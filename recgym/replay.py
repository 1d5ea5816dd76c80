"""A log's own exposures shown again: the same people, the same items, in the same order; nobody leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from recgym.catalog import Catalog
from recgym.errors import BadData
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.simulator import put, take
from recgym.user_model import RestingUserModel, UserModel

Probe = Callable[[Any, np.ndarray, np.ndarray, Noise], np.ndarray]
"""Called as probe(state, rows, item, noise) before each answer; what it returns, (n, ...), is kept per row.

rows: (n,) row numbers of the log; item: (n, 1) int32.
"""


_FIRST_SEED = 1 << 40


class Schedule(NamedTuple):
    """In what order the rows of a log are shown.

    step: for each step the rows (n_t,) of the log to show, one per user; users with most rows come first, so that
    those who still watch are always the first n_t.
    rests: (rows,) bool, the row begins another visit of its user. gap_days: (rows,) float32, days since the user's
    row before (0 where unknown). rank: (rows,) int64, how many rows of the visit come before.
    user: (U,) the users in the order of a step.
    """

    step: list[np.ndarray]
    rests: np.ndarray
    gap_days: np.ndarray
    rank: np.ndarray
    user: np.ndarray


class Replay(NamedTuple):
    """What the users answered, in the order of the log's rows.

    watch_time_s: (rows,) float32. feedback: (rows, F) bool. probed: (rows, ...) what the probe returned, or (0,).
    """

    watch_time_s: np.ndarray
    feedback: np.ndarray
    probed: np.ndarray


def schedule(log: InteractionLog) -> Schedule:
    """The order in which `replay` shows the rows of `log`: per user by time, or else by session, step, position.

    Each row is an exposure of its own, also where several were shown as one slate. A user of session -1 (visits
    cannot be told apart) never rests.
    """
    names = {column: log.array(column) for column in ("user", "session", "step", "position")}
    user, session = names["user"], names["session"]
    keys = [names["position"], names["step"], session]
    timed = "time_ms" in log.table.columns
    if timed:
        keys.append(log.array("time_ms"))
    order = np.lexsort([*keys, user])
    begins = np.concatenate([[True], user[order][1:] != user[order][:-1]])[: len(order)]
    first = np.flatnonzero(begins)
    counts = np.diff(np.append(first, len(order)))
    by_count = np.argsort(-counts, kind="stable")
    first, counts = first[by_count], counts[by_count]
    width = int(counts[0]) if len(counts) else 0
    steps = [order[first[: np.searchsorted(-counts, -t, side="left")] + t] for t in range(width)]
    rests, gap, rank = (np.zeros(len(log), kind) for kind in (np.bool_, np.float32, np.int64))
    new_visit = np.concatenate([[True], session[order][1:] != session[order][:-1]])[: len(order)]
    rests[order] = new_visit & ~begins
    if timed and len(order):
        time_ms = log.array("time_ms")[order]
        gap[order] = np.where(begins, 0, np.diff(time_ms, prepend=time_ms[:1]) / 86_400_000.0)
    places = np.arange(len(order))
    rank[order] = places - np.maximum.accumulate(np.where(new_visit | begins, places, 0))
    return Schedule(steps, rests, gap, rank, user[order][first])


def replay(
    users: UserModel[Any], catalog: Catalog, log: InteractionLog, episode: int, *,
    plan: Schedule | None = None, probe: Probe | None = None,
) -> Replay:  # fmt: skip
    """Show `users` the items that `log` says they saw, and let them answer and change.

    A person's luck depends on the user row and the episode, not on who else is in the log. Its seeds are far from
    those of rollouts, so that a log which a simulator wrote is not replayed with the luck that it was made with.

    Args:
        users: the people; the log's `user` is a row of theirs.
        catalog: the items; the log's `item` is a row of it.
        log: the exposures.
        episode: another episode, another luck.
        plan: `schedule(log)`, where it was made already.
        probe: asked before each answer.

    Raises:
        BadData: the log has users or items that the world lacks.
    """
    plan = plan or schedule(log)
    item = log.array("item").astype(np.int32)
    _check_known(log.array("user"), users.n_users, "user")
    _check_known(item, len(catalog), "item")
    luck = Noise.of(plan.user + _FIRST_SEED, episode)
    state = users.start(plan.user, Noise.of(plan.user + _FIRST_SEED, episode, -1))
    watch = np.zeros(len(log), np.float32)
    feedback = np.zeros((len(log), len(users.feedback)), np.bool_)
    probed = np.zeros(0)
    for t, rows in enumerate(plan.step):
        noise = Noise(luck.key[: len(rows)], np.full(len(rows), t, np.int64))
        state = _rested(users, take(state, slice(len(rows))), plan, rows)
        slate = item[rows][:, None]
        if probe is not None:
            answer = probe(state, rows, slate, noise)
            if not t:
                probed = np.zeros((len(log), *answer.shape[1:]), answer.dtype)
            probed[rows] = answer
        response = users.respond(state, slate, catalog, noise)
        state = users.change(state, slate, response, catalog, noise)
        watch[rows], feedback[rows] = response.watch_time_s[:, 0], response.feedback[:, 0]
    return Replay(watch, feedback, probed)


def _rested(users: UserModel[Any], state: Any, plan: Schedule, rows: np.ndarray) -> Any:
    back = np.flatnonzero(plan.rests[rows])
    if not len(back) or not isinstance(users, RestingUserModel):
        return state
    gap_days = np.maximum(plan.gap_days[rows[back]], 1)
    return put(state, back, users.rest(take(state, back), gap_days))


def _check_known(number: np.ndarray, size: int, what: str) -> None:
    wrong = np.flatnonzero((number < 0) | (number >= size))
    if len(wrong):
        raise BadData(
            f"row {wrong[0]} of the log: {what} {number[wrong[0]]}; this world has {what}s 0 .. {size - 1}. The log "
            f"counts other {what}s than the world: map it with recgym.users.fitted.aligned."
        )
