"""How much simulated users resemble the people of a log, line by line, each with its target and a verdict.

The log's own exposures (user, item) are shown to the simulator's users in the order of time (`recgym.replay`), and
what they answer is set beside what the log says. Where the log itself is not sure, its 95 % bootstrap interval over
users says so. A line that misses its target stays in the report as "outside".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recgym import fidelity_parts as parts
from recgym.catalog import Catalog
from recgym.errors import BadData, WrongSetting
from recgym.feedback import Response
from recgym.fidelity_default import default_fidelity
from recgym.fidelity_measures import UserResamples
from recgym.fidelity_parts import Sheet, View
from recgym.fidelity_report import FidelityReport, Line
from recgym.interaction_log import InteractionLog
from recgym.loaders.dataset import Dataset
from recgym.noise import Noise
from recgym.replay import Replay, Schedule, replay, schedule
from recgym.session import SessionModel
from recgym.simulator import take
from recgym.user_model import ExpectingUserModel, HabitualUserModel, UserModel, average_habits
from recgym.users.fitted import FittedWorld, aligned
from recgym.users.prediction import predict as predict_fitted

Predict = Callable[[InteractionLog, Schedule], Mapping[str, np.ndarray]]
"""(rows,) probability of each feedback, given the log's rows as new rows of the world's people and items."""

_PARTS = (parts.rates, parts.watch_times, parts.completion_histogram, parts.co_occurrence, parts.alike, parts.places,
          parts.visit_lengths)  # fmt: skip


def fidelity(
    users: UserModel[Any], catalog: Catalog, log: InteractionLog, seed: int = 0, replays: int = 5, *,
    predict: Predict | None = None, session: SessionModel | None = None, resamples: int = 400,
    title: str = "Simulated users beside a log", notes: tuple[str, ...] = (),
    progress: Callable[[float], None] | None = None,
) -> FidelityReport:  # fmt: skip
    """Show the log's exposures to `users` and compare what they do with what the log says.

    Args:
        users: the people; the log's `user` is a row of theirs.
        catalog: the items; the log's `item` is a row of it. (For a fitted world and a data set see `fitted_fidelity`.)
        log: what really happened. A Boolean `extra_duration_known` keeps rows with a guessed duration out of
            whatever compares watch time with duration.
        seed: of the users' luck and of the bootstrap.
        replays: how often the log is shown; what is simulated is averaged over them.
        predict: probabilities for calibration and AUC, see `recgym.users.prediction.predict`; None = the users' own
            true probabilities, where they can say them (`expect`).
        session: asked after each exposure whether the user would leave, and compared with where the log's visits
            end. None = not compared, because the log's visits cannot be told apart.
        resamples: draws of the bootstrap over users.
        title: of the report.
        notes: sentences to put before the report's own.
        progress: called with the share that is done.

    Raises:
        BadData: an empty log, or users or items that the world lacks.
        WrongSetting: no replay, or no resample.
    """
    if replays < 1 or resamples < 1:
        raise WrongSetting(f"fidelity replays={replays}, resamples={resamples}: at least 1 of each is needed.")
    if not len(log):
        raise BadData("the log has no rows; there is nothing to compare with.")
    plan = schedule(log)
    tell = progress or _quiet
    played = [_play(users, catalog, log, plan, seed * 1_000_003 + r, tell, (r + 1) / (replays + 1), predict, r)
              for r in range(replays)]  # fmt: skip
    view = _view(users, catalog, log, plan, played, _visits(users, catalog, log, plan, session, seed))
    sheet, resampled = Sheet([], {}), UserResamples(view.user, resamples, seed)
    for compare in _PARTS:
        compare(view, resampled, sheet)
    chances = predict(log, plan) if predict else _true_chances(users, played[0])
    parts.calibration(view, chances, sheet)
    tell(1.0)
    notes = (*notes, *_notes(view, log, users, bool(chances), session), *_doubts(sheet.lines))
    return FidelityReport(title, tuple(sheet.lines), sheet.curves, notes)


def fitted_fidelity(
    world: FittedWorld, dataset: Dataset, seed: int = 0, replays: int = 5, *, session: SessionModel | None = None,
    resamples: int = 400, progress: Callable[[float], None] | None = None,
) -> FidelityReport:  # fmt: skip
    """`fidelity` of a fitted world with a data set of the same kind; unknown users and items are prior draws.

    Probabilities for calibration and AUC are averaged over what is not known of each person and item.
    """
    world, log, notes = aligned(world, dataset, seed)
    source = world.facts.get("data", {}).get("source", {})
    title = f"Users fitted to {_named(source)} beside {_named(log.source)}"
    notes += (_own_rows(world, log),) if _own_rows(world, log) else ()

    def guess(log: InteractionLog, plan: Schedule) -> Mapping[str, np.ndarray]:
        return predict_fitted(world, log, plan)

    return fidelity(world.users, world.catalog, log, seed, replays, predict=guess, session=session, resamples=resamples,
                    title=title, notes=(*notes, *dataset.notes), progress=progress)  # fmt: skip


def _named(source: Mapping[str, str]) -> str:
    return ", ".join(source[key] for key in ("dataset", "selection") if key in source) or "a log"


def _own_rows(world: FittedWorld, log: InteractionLog) -> str:
    """A warning, if more than 1 % of the log's rows lie in the time of the log that the world was fitted to."""
    data = world.facts.get("data", {})
    if data.get("last_time_ms") is None or "time_ms" not in log.table.columns:
        return ""
    time_ms = log.array("time_ms")
    rows = int(((time_ms >= data["first_time_ms"]) & (time_ms <= data["last_time_ms"])).sum())
    if rows <= 0.01 * len(log):
        return ""
    return (
        f"{rows} of {len(log)} rows fall into the time that the world was fitted to: if they are the same rows, "
        "calibration error and AUC are not those of new rows and mean nothing."
    )


def _doubts(lines: list[Line]) -> list[str]:
    """How far the misses of the watch times are beyond what the log itself is sure of."""
    deciles = [line for line in lines if line.part == "watch time, s" and line.real and line.low is not None]
    missed = [line for line in deciles if line.within is False]
    wide = [line for line in deciles if line.high is not None and line.low is not None and line.real
            and line.high - line.low > 0.2 * line.real]  # fmt: skip
    inside = sum(bool(line.inside) for line in missed)
    return [f"Of {len(deciles)} watch-time deciles {len(missed)} miss their target, {inside} of them in the log's own "
            f"95 % interval; that interval is wider than 10 % to either side for {len(wide)} deciles."]  # fmt: skip


def _quiet(share: float) -> None:
    """No progress is shown."""


def _play(
    users: UserModel[Any], catalog: Catalog, log: InteractionLog, plan: Schedule, episode: int,
    tell: Callable[[float], None], share: float, predict: Predict | None, number: int,
) -> Replay:  # fmt: skip
    """One replay; the first one also asks for the true probabilities if nothing else predicts."""
    probe = None
    if not number and predict is None and isinstance(users, ExpectingUserModel):

        def probe(state: Any, rows: np.ndarray, item: np.ndarray, noise: Noise) -> np.ndarray:
            return np.asarray(users.expect(state, item, catalog).probability[:, 0])

    played = replay(users, catalog, log, episode, plan=plan, probe=probe)
    tell(share)
    return played


def _true_chances(users: UserModel[Any], played: Replay) -> dict[str, np.ndarray]:
    if played.probed.ndim != 2:
        return {}
    return {name: played.probed[:, f] for f, name in enumerate(users.feedback)}


def _view(
    users: UserModel[Any], catalog: Catalog, log: InteractionLog, plan: Schedule, played: list[Replay],
    visits: tuple[np.ndarray, np.ndarray],
) -> View:  # fmt: skip
    signals = tuple(name for name in log.feedback if name in users.feedback)
    columns = [users.feedback.index(name) for name in signals]
    item = log.array("item").astype(np.int64)
    duration, watch_real = catalog.duration_s[item], log.array("watch_time_s")
    known = np.ones(len(log), np.bool_)
    if "extra_duration_known" in log.table.columns:
        known = log.array("extra_duration_known").astype(np.bool_)
    simulated = [np.column_stack([p.feedback[:, columns], p.watch_time_s >= duration]) for p in played]
    return View(
        signals=(*signals, "complete"), user=log.array("user"), item=item, duration=duration, known=known,
        rank=plan.rank, real=np.column_stack([*(log.array(name) for name in signals), watch_real >= duration]),
        watch_real=watch_real, simulated=np.array(simulated), watch=np.array([p.watch_time_s for p in played]),
        leaves=visits[0], ends=visits[1],
    )  # fmt: skip


def _visits(
    users: UserModel[Any],
    catalog: Catalog,
    log: InteractionLog,
    plan: Schedule,
    session: SessionModel | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) bool: whether the session model lets the user leave after the log's own answer; the visit ends there."""
    if session is None:
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    leaves = np.zeros(len(log), np.bool_)
    item, watch, feedback = log.array("item"), log.array("watch_time_s"), log.feedback_matrix()
    luck = Noise.of(plan.user, seed)
    habits = users.habits(plan.user) if isinstance(users, HabitualUserModel) else average_habits(plan.user)
    state = session.start(habits)
    for t, rows in enumerate(plan.step):
        n = slice(len(rows))
        back = np.flatnonzero(plan.rests[rows])
        state, mine = state[n], take(habits, n)
        state[back] = session.start(take(mine, back))
        answer = Response(watch[rows][:, None], feedback[rows][:, None])
        noise = Noise(luck.key[n], np.full(len(rows), t, np.int64))
        leaves[rows] = session.leaves(state, mine, item[rows][:, None], answer, log.feedback, catalog, noise)
    last = np.ones(len(log), np.bool_)
    for now, after in zip(plan.step, plan.step[1:], strict=False):
        last[now[: len(after)]] = plan.rests[after]
    return leaves, last


def _notes(
    view: View, log: InteractionLog, users: UserModel[Any], predicted: bool, session: SessionModel | None
) -> list[str]:
    notes = [
        f"{len(view.user)} exposures of {len(np.unique(view.user))} people and {len(np.unique(view.item))} items, "
        f"shown {len(view.watch)} times; nobody leaves.",
        f"{(~view.known).sum()} rows with a guessed duration are left out of watch time, completion and complete.",
    ]
    left_out = [name for name in (*log.feedback, *users.feedback) if name not in view.signals]
    notes += [f"Only one of log and users has {', '.join(left_out)}: not compared."] * bool(left_out)
    notes += ["These users cannot say probabilities: no calibration, no AUC."] * (not predicted)
    notes += ["Visit lengths are not compared: no session model was asked."] * (session is None)
    return notes


__all__ = ["FidelityReport", "Line", "default_fidelity", "fidelity", "fitted_fidelity"]
