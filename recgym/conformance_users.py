"""`check_user_model`: whether somebody's users keep the rules that the simulator builds on."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from recgym.catalog import Catalog
from recgym.conformance import Leaves, NotConforming, copied, difference, leaves, pure_call, require
from recgym.conformance_expectations import check_expectations
from recgym.conformance_luck import Audience, audience_of
from recgym.conformance_rows import check_luck, check_rows
from recgym.feedback import Response, long_view, valid_play
from recgym.log_columns import OPTIONAL, REQUIRED
from recgym.simulator import PROFILE_BOUND
from recgym.user_model import ExpectingUserModel, Habits, HabitualUserModel, RestingUserModel, UserModel
from recgym.users.synthetic import synthetic_catalog

_TAKEN_NAMES = {*REQUIRED, *OPTIONAL, "observation", "skip", "early_exit", "complete", "left", "depth",
                "slate_watch_time_s", "slate_feedback"}  # fmt: skip
_PREFIXES = ("_", "cost_", "extra_")


def check_user_model(
    users: UserModel[Any],
    catalog: Catalog | None = None,
    n: int = 64,
    steps: int = 30,
    seed: int = 0,
    *,
    slate_sizes: Sequence[int] = (1, 3),
    deterministic: bool = False,
) -> None:
    """Check that a user model keeps the rules of `recgym.user_model.UserModel`; returns nothing if it does.

    Checked, in this order: the names of the feedbacks and `n_users`; shapes, types, NaN and negative times; that
    calls are pure (inputs and global generators untouched, same call same answer, answers not overwritten later); that
    every draw of a step has its own name; that `click` and `long_view`, if there are such feedbacks, follow the
    published rules; that luck differs between seeds and between steps; that n rows together equal a third of them,
    all of them reversed and each of three alone, bit for bit, through all steps; and that `expect`, where there is
    one, agrees with the mean of `respond` within four standard errors, for each item by itself.

    What cannot be checked: that `observe` does not give away the latent interest, and draws that a compiled model
    makes from `noise.key` without calling `noise`.

    Args:
        users: the model.
        catalog: what it is shown; None = 200 synthetic videos, `vector` of 18 numbers, `appeal_vector` of 16.
        n: rows; at least 6.
        steps: steps of each session.
        seed: chooses people, luck and slates; all of them follow from it.
        slate_sizes: slates of these many items are tried.
        deterministic: whether the model answers without any chance; then luck need not make a difference.

    Raises:
        NotConforming: a rule was broken; `.rule` names it, the message says what was seen at which row and step.
    """
    catalog = catalog or synthetic_catalog(200)
    _check_names(users)
    before = copied(_arrays_of(catalog))
    for slate_size in slate_sizes:
        audience = audience_of(users.n_users, catalog, max(n, 6), steps, min(slate_size, len(catalog)), seed)
        _inspect_calls(users, catalog, audience)
        if not deterministic:
            check_luck(users, catalog, audience)
        check_rows(users, catalog, audience)
    if isinstance(users, ExpectingUserModel):
        check_expectations(users, catalog, audience_of(users.n_users, catalog, 8, steps, 1, seed))
    written = difference(before, _arrays_of(catalog))
    require(
        written is None, "inputs stay as they are", f"the catalogue was written to: {written}",
        "Copy an array before you change it.",
    )  # fmt: skip


def _arrays_of(catalog: Catalog) -> Leaves:
    return leaves({part.name: getattr(catalog, part.name) for part in fields(catalog)}, "catalog")


def _check_names(users: UserModel[Any]) -> None:
    missing = [
        name for name in ("feedback", "n_users", "start", "observe", "respond", "change") if not hasattr(users, name)
    ]
    require(
        not missing, "methods of a user model", f"{type(users).__name__} lacks {', '.join(missing)}",
        "Write start, observe, respond and change, and set `feedback` and `n_users`; see recgym.user_model.UserModel.",
    )  # fmt: skip
    names = users.feedback
    require(
        isinstance(names, tuple) and bool(names) and all(isinstance(name, str) for name in names),
        "feedback names", f"`feedback` is {names!r}", 'A tuple with at least one text is needed, such as ("like",).',
    )  # fmt: skip
    for name in names:
        wrong = (
            "is no Python identifier" if not name.isidentifier() or keyword.iskeyword(name)
            else "occurs twice" if names.count(name) > 1
            else "means something else in RecGym" if name in _TAKEN_NAMES
            else f"starts with one of {_PREFIXES}" if name.startswith(_PREFIXES) else ""
        )  # fmt: skip
        require(
            not wrong, "feedback names", f"{name!r} {wrong}",
            "Feedbacks are keys of `info` and columns of logs: choose another name.",
        )  # fmt: skip
    require(
        isinstance(users.n_users, int | np.integer) and users.n_users >= 1, "number of users",
        f"`n_users` is {users.n_users!r}", "It is the number of different people, a whole number, at least 1.",
    )  # fmt: skip


def _inspect_calls(users: UserModel[Any], catalog: Catalog, audience: Audience) -> None:
    """Play one session, looking closely at every call: purity, shapes, types, values, names of draws."""
    n, k = audience.item.shape[1:]
    state = pure_call(
        "start", users.start, (audience.user, audience.once(-1)), (audience.user, audience.noise(-1))
    )  # fmt: skip
    begun = _checked_state("start", state, n)
    answered: dict[str, tuple[Any, Leaves]] = {}
    if isinstance(users, HabitualUserModel):
        _check_habits(pure_call("habits", users.habits, (audience.user,)), n)
    for step, item in enumerate(audience.item):
        at = f"step {step}"
        profile = pure_call(f"{at}, observe", users.observe, (state,))
        width = _check_profile(at, profile, n)
        luck, plain = audience.once(step), audience.noise(step)
        response = pure_call(
            f"{at}, respond", users.respond, (state, item, catalog, luck), (state, item, catalog, plain)
        )  # fmt: skip
        _check_response(at, response, (n, k, len(users.feedback)))
        _check_kept(step - 1, answered)
        answered = {
            name: (part, copied(leaves(part, ""))) for name, part in (("observe", profile), ("respond", response))
        }
        _check_published_rules(at, users.feedback, response, catalog.duration_s[item])
        state = pure_call(
            f"{at}, change", users.change, (state, item, response, catalog, luck),
            (state, item, response, catalog, plain),
        )  # fmt: skip
        _check_same_kind(f"{at}, change", begun, _checked_state(f"{at}, change", state, n))
    require(
        _check_profile("the end", users.observe(state), n) == width, "shapes and types", "observe changed its width",
        "The profile has the same columns at every step.",
    )  # fmt: skip
    if isinstance(users, RestingUserModel):
        gap = np.linspace(1, 30, n, dtype=np.float32)
        rested = pure_call("rest", users.rest, (state, gap))
        _check_same_kind("rest", begun, _checked_state("rest", rested, n))


def _check_kept(step: int, answered: dict[str, tuple[Any, Leaves]]) -> None:
    """What was answered a step ago must still be what it was then."""
    for name, (answer, before) in answered.items():
        changed = difference(before, leaves(answer, ""))
        require(
            changed is None, "answers are new arrays",
            f"what {name} had answered at step {step} changed later: {changed}",
            "Answer with a new array each time, not with a buffer that is used again.",
        )  # fmt: skip


def _checked_state(name: str, state: Any, n: int) -> Leaves:
    require(
        isinstance(state, tuple) and hasattr(state, "_fields"), "shapes and types",
        f"{name} answered with a {type(state).__name__} as the state", "The state is a NamedTuple of arrays.",
    )  # fmt: skip
    for column, value in zip(state._fields, state, strict=True):
        require(
            isinstance(value, np.ndarray) and value.ndim >= 1 and len(value) == n and value.dtype != object,
            "shapes and types", f"{name}: state.{column} is {_kind(value)} for {n} users",
            "Every array of the state has one row per user and a plain number type.",
        )  # fmt: skip
    return leaves(state, "state")


def _check_same_kind(name: str, begun: Leaves, now: Leaves) -> None:
    """A user who leaves is replaced by rows of a fresh state, so shapes and types must stay those of `start`."""
    kinds = [{key: (value.shape, value.dtype) for key, value in part.items()} for part in (begun, now)]
    require(
        kinds[0] == kinds[1], "shapes and types", f"{name} turned the state {kinds[0]} into {kinds[1]}",
        "The state keeps the shapes and number types that `start` gave it.",
    )  # fmt: skip


def _check_habits(habits: Any, n: int) -> None:
    good = isinstance(habits, Habits) and all(
        part.shape == (n,) and part.dtype == np.float32 and np.isfinite(part).all() and (part > 0).all()
        for part in habits
    )
    require(
        good, "shapes and types", f"habits answered {[_kind(part) for part in habits]} for {n} users",
        f"recgym.user_model.Habits with two ({n},) float32 arrays above 0 is needed.",
    )  # fmt: skip


def _check_profile(at: str, profile: Any, n: int) -> int:
    require(
        isinstance(profile, np.ndarray) and profile.ndim == 2 and len(profile) == n and profile.dtype == np.float32,
        "shapes and types", f"{at}: observe answered {_kind(profile)}", f"({n}, P) float32 is needed.",
    )  # fmt: skip
    outside = ~(np.abs(profile) <= PROFILE_BOUND)
    _refuse(at, "observe", outside, profile, f"Profiles are numbers between -{PROFILE_BOUND:g} and {PROFILE_BOUND:g}.")
    return int(profile.shape[1])


def _check_response(at: str, response: Any, shape: tuple[int, int, int]) -> None:
    require(
        isinstance(response, Response), "shapes and types", f"{at}: respond answered a {type(response).__name__}",
        "recgym.Response(watch_time_s, feedback) is needed.",
    )  # fmt: skip
    wanted: tuple[tuple[str, tuple[int, ...], Any], ...] = (
        ("watch_time_s", shape[:2], np.float32), ("feedback", shape, np.bool_),
    )  # fmt: skip
    for name, size, kind in wanted:
        value = getattr(response, name)
        require(
            isinstance(value, np.ndarray) and value.shape == size and value.dtype == kind, "shapes and types",
            f"{at}: respond answered {name} {_kind(value)}", f"{size} {np.dtype(kind)} is needed.",
        )  # fmt: skip
    watch = response.watch_time_s
    outside = ~((watch >= 0) & (watch <= PROFILE_BOUND))
    _refuse(at, "watch_time_s", outside, watch, f"Seconds are numbers from 0 to {PROFILE_BOUND:g}.")


def _refuse(at: str, name: str, wrong: np.ndarray, value: np.ndarray, advice: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise NotConforming("possible values", f"{at}, row {row}: {name} is {value[row].tolist()}", advice)


def _check_published_rules(at: str, names: tuple[str, ...], response: Response, duration_s: np.ndarray) -> None:
    for name, rule in (("click", valid_play), ("long_view", long_view)):
        if name not in names:
            continue
        given = response.feedback[:, :, names.index(name)]
        row = np.flatnonzero((given != rule(response.watch_time_s, duration_s)).any(axis=1))
        require(
            not len(row), "published rules",
            f"{at}, row {row[:1]}: {name} {given[row[:1]].tolist()} with watch_time_s "
            f"{response.watch_time_s[row[:1]].tolist()} of {duration_s[row[:1]].tolist()} s",
            f"Derive {name} with recgym.feedback.{rule.__name__}, or give a feedback of your own another name.",
        )  # fmt: skip


def _kind(value: Any) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
