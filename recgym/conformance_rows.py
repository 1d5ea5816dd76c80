"""Whether n users together are the same n users in any other company, and whether their luck makes a difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from recgym.catalog import Catalog
from recgym.conformance import Leaves, copied, difference, global_chance, leaves, require, rows_of
from recgym.conformance_luck import Audience
from recgym.user_model import HabitualUserModel, RestingUserModel, UserModel


def _session(users: UserModel[Any], catalog: Catalog, audience: Audience) -> list[tuple[str, Leaves]]:
    """All that happens in one session, call by call: (which call, its arrays)."""
    state = users.start(audience.user, audience.noise(-1))
    story = [("start", leaves(state, "state"))]
    if isinstance(users, HabitualUserModel):
        story.append(("habits", leaves(users.habits(audience.user), "habits")))
    for step, item in enumerate(audience.item):
        noise = audience.noise(step)
        story.append((f"step {step}, observe", leaves(users.observe(state), "profile")))
        response = users.respond(state, item, catalog, noise)
        story.append((f"step {step}, respond", leaves(response, "response")))
        if hasattr(users, "expect"):
            story.append((f"step {step}, expect", leaves(users.expect(state, item, catalog), "expected")))
        state = users.change(state, item, response, catalog, noise)
        story.append((f"step {step}, change", leaves(state, "state")))
    if isinstance(users, RestingUserModel):
        gap = (1 + audience.user % 7).astype(np.float32)
        story.append(("rest", leaves(users.rest(state, gap), "state")))
    return [(call, copied(arrays)) for call, arrays in story]


def check_rows(users: UserModel[Any], catalog: Catalog, audience: Audience) -> None:
    """n rows together must be the same n rows in any other company, bit for bit, through a whole session."""
    with global_chance(1):
        whole = _session(users, catalog, audience)
    with global_chance(2):
        again = _session(users, catalog, audience)
    for (call, one), (_, other) in zip(whole, again, strict=True):
        changed = difference(one, other)
        require(
            changed is None, "same call, same answer",
            f"a second session of the same users differs at {call}: {changed}",
            "Keep all memory in the state and take all chance from `noise`.",
        )  # fmt: skip
    n = len(audience.user)
    groups = {"all rows reversed": np.arange(n)[::-1], "a third of the rows": np.arange(0, n, 3)}
    groups |= {f"row {row} alone": np.array([row]) for row in (0, n // 2, n - 1)}
    for name, rows in groups.items():
        part = _session(users, catalog, audience.some(rows))
        for (call, one), (_, other) in zip(whole, part, strict=True):
            changed = difference(rows_of(one, rows), other)
            require(
                changed is None, "row i belongs to user i", f"{n} rows together and {name} differ at {call}: {changed}",
                "Row i of an answer may read row i only: no mean over users, and row-wise sums "
                "(a * b).sum(-1) or einsum instead of matrix products, whose last digits depend on the batch.",
            )  # fmt: skip


def check_luck(users: UserModel[Any], catalog: Catalog, audience: Audience) -> None:
    """Other seeds, and other steps of the same seed, must bring other answers."""
    state = users.start(audience.user, audience.noise(-1))
    item = audience.item[0]

    def answers(seed: np.ndarray, step: int) -> Leaves:
        noise = audience._replace(seed=seed).noise(step)
        return leaves(users.respond(state, item, catalog, noise), "response")

    at = range(len(audience.item))
    usual = [copied(answers(audience.seed, step)) for step in at]
    require(
        any(difference(usual[step], answers(audience.seed + 1, step)) for step in at), "luck makes a difference",
        f"other seeds were answered exactly alike in {len(at)} steps",
        "Draw from `noise`; if the model is meant to be without chance, check it with deterministic=True.",
    )  # fmt: skip
    require(
        len(at) < 2 or any(difference(usual[0], one) for one in usual[1:]), "luck makes a difference",
        f"the same state and slate were answered exactly alike in all {len(at)} steps",
        "Use noise.uniform or noise.normal, which change with the step, rather than noise.key alone.",
    )  # fmt: skip
