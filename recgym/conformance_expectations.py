"""Whether `expect` of a user model says what `respond` does on average."""

from __future__ import annotations

from typing import Any

import numpy as np

from recgym.catalog import Catalog
from recgym.conformance import NotConforming, difference, leaves, pure_call, require
from recgym.conformance_luck import Audience
from recgym.noise import Noise
from recgym.simulator import take
from recgym.user_model import Expected, UserModel

DRAWS = 4_000
"""How often each of the few users answers the same slate in the comparison with `expect`."""

STANDARD_ERRORS = 4.0
"""How far the mean of so many answers may be from what was expected."""

_SLACK = 1e-3


def check_expectations(users: UserModel[Any], catalog: Catalog, audience: Audience) -> None:
    """Compare `expect` with the mean of 4,000 answers, as a visit begins and after all steps of the audience.

    Allowed are four standard errors, the second term of Bernstein's inequality (rare feedbacks and rare long watching
    make small samples err by more), and one part in a thousand (for `expect` by quadrature or by table).
    """
    state = users.start(audience.user, audience.noise(-1))
    _check_one_by_one(users, catalog, audience, state)
    _check_means(users, catalog, audience, state, 0)
    for step, item in enumerate(audience.item):
        response = users.respond(state, item, catalog, audience.noise(step))
        state = users.change(state, item, response, catalog, audience.noise(step))
    _check_means(users, catalog, audience, state, len(audience.item))


def _check_one_by_one(users: Any, catalog: Catalog, audience: Audience, state: Any) -> None:
    """Shapes and values; and the expectation of an item must not depend on the items asked for beside it."""
    n, k = len(audience.user), min(5, len(catalog))
    item = (audience.item[0, :, :1] + np.arange(k, dtype=np.int32)) % np.int32(len(catalog))
    expected = pure_call("expect", users.expect, (state, item, catalog))
    good = isinstance(expected, Expected) and all(
        isinstance(part, np.ndarray) and part.shape == shape and part.dtype == np.float32 and np.isfinite(part).all()
        for part, shape in zip(expected, ((n, k), (n, k, len(users.feedback))), strict=True)
    )
    shapes = [getattr(part, "shape", type(part)) for part in expected]
    require(
        good, "shapes and types", f"expect answered {shapes} for slates {(n, k)}",
        f"recgym.user_model.Expected with {(n, k)} and {(n, k, len(users.feedback))} finite float32 is needed.",
    )  # fmt: skip
    outside = (expected.probability < 0) | (expected.probability > 1)
    if outside.any() or (expected.watch_time_s < 0).any():
        row = int(np.flatnonzero(outside.any(axis=(1, 2)) | (expected.watch_time_s < 0).any(axis=1))[0])
        raise NotConforming(
            "possible values", f"expect, row {row}: {expected.probability[row].tolist()} and "
            f"{expected.watch_time_s[row].tolist()} s", "Probabilities lie in [0, 1] and seconds are not negative.",
        )  # fmt: skip
    for j in range(k):
        alone = users.expect(state, np.ascontiguousarray(item[:, j : j + 1]), catalog)
        apart = difference(leaves(Expected(*(part[:, j : j + 1] for part in expected)), ""), leaves(alone, ""))
        require(
            apart is None, "expectations item by item",
            f"expect of an item alone and at place {j} of {k} differ: {apart}",
            "Oracles ask for hundreds of candidates at once: expect of each item must not depend on the others.",
        )  # fmt: skip


def _check_means(users: Any, catalog: Catalog, audience: Audience, state: Any, step: int) -> None:
    item = np.ascontiguousarray(audience.item[0])
    expected = users.expect(state, item, catalog)
    n = len(audience.user)
    copies = np.repeat(np.arange(n), DRAWS)
    noise = Noise.of(np.arange(len(copies)) + audience.seed[0] // 2, np.zeros(len(copies), np.int64), step)
    response = users.respond(take(state, copies), item[copies], catalog, noise)
    watch = response.watch_time_s[:, 0].astype(np.float64).reshape(n, DRAWS)
    _compare("watch_time_s", step, watch, expected.watch_time_s[:, 0].astype(np.float64), watch.std(axis=1))
    for column, name in enumerate(users.feedback):
        given = response.feedback[:, 0, column].astype(np.float64).reshape(n, DRAWS)
        p = expected.probability[:, 0, column].astype(np.float64)
        _compare(name, step, given, p, np.sqrt(p * (1 - p)))


def _compare(name: str, step: int, answers: np.ndarray, expected: np.ndarray, deviation: np.ndarray) -> None:
    """Each of the n users by itself, then all of them together. answers: (n, DRAWS); the others (n,)."""
    mean = answers.mean(axis=1)
    largest = answers.max() if name == "watch_time_s" else 1.0
    skewed = STANDARD_ERRORS**2 / 6 * largest / DRAWS
    room = STANDARD_ERRORS * deviation / np.sqrt(DRAWS) + skewed + _SLACK * np.abs(expected)
    error = np.sqrt((deviation**2).sum() / DRAWS) / len(mean)
    together = STANDARD_ERRORS * error + skewed / len(mean) + _SLACK * np.abs(expected).mean()
    row = int(np.argmax(np.abs(mean - expected) - room))
    advice = (
        "`expect` must be the mean of `respond` given the state: look for a sigmoid applied twice, a probability "
        "that was balanced in training, or an effect that only one of the two knows."
    )
    require(
        abs(mean[row] - expected[row]) <= room[row], "expectations are means",
        f"step {step}, row {row}: expect says {name} {expected[row]:.6g}, {DRAWS} answers have mean {mean[row]:.6g} "
        f"(allowed difference {room[row]:.2g})", advice,
    )  # fmt: skip
    require(
        abs(mean.mean() - expected.mean()) <= together, "expectations are means",
        f"step {step}, {len(mean)} users together: expect says {name} {expected.mean():.6g}, {answers.size} answers "
        f"have mean {mean.mean():.6g} (allowed difference {together:.2g})", advice,
    )  # fmt: skip
