"""A tiny world with a known best item for each kind of viewer, in plain NumPy; and that it is as promised.

Twelve videos of 30 s. Viewers are of two kinds, which the platform sees. Each kind watches its own best item for 20 s
on average and item j otherwise for 2 + 0.2 j s, so that always showing the best item earns 20 s an exposure, and a
uniformly random policy (20 + sum of the others) / 12.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from recgym.candidates import SampledCandidates
from recgym.catalog import Catalog
from recgym.feedback import Response
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.rollout import rollout
from recgym.session import FixedLength
from recgym.simulator import Simulator
from recgym.user_model import Expected

N_ITEMS = 12
BEST = (3, 7)
BEST_S = 20.0
LIKED, OTHERWISE, HATED = 0.8, 0.1, 0.02


class Kind(NamedTuple):
    """kind: (n,) int64, 0 or 1."""

    kind: np.ndarray


class TwoKinds:
    """Viewers whose best item is `best[kind]`."""

    feedback: tuple[str, ...] = ("like", "hate")
    n_users = 40

    def __init__(self, best: tuple[int, int] = BEST) -> None:
        self.best = np.array(best)

    def start(self, user: np.ndarray, noise: Noise) -> Kind:
        return Kind(np.asarray(user, np.int64) % 2)

    def observe(self, state: Kind) -> np.ndarray:
        return np.asarray(np.eye(2, dtype=np.float32)[state.kind])

    def seconds(self, state: Kind, item: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(item == self.best[state.kind][:, None], BEST_S, 2 + 0.2 * item))

    def respond(self, state: Kind, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        k = item.shape[1]
        watch = self.seconds(state, item) * (0.5 + noise.uniform("watch", k))
        like = noise.uniform("like", k) < np.where(item == self.best[state.kind][:, None], LIKED, OTHERWISE)
        return Response(watch.astype(np.float32), np.stack([like, noise.uniform("hate", k) < HATED], axis=2))

    def change(self, state: Kind, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise) -> Kind:
        return state

    def expect(self, state: Kind, item: np.ndarray, catalog: Catalog) -> Expected:
        like = np.where(item == self.best[state.kind][:, None], LIKED, OTHERWISE)
        probability = np.stack([like, np.full(item.shape, HATED)], axis=2)
        return Expected(self.seconds(state, item).astype(np.float32), probability.astype(np.float32))


def tiny_catalog(n_items: int = N_ITEMS) -> Catalog:
    vector = np.random.default_rng(1).standard_normal((n_items, 4)).astype(np.float32)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    return Catalog(
        vector=vector,
        duration_s=np.full(n_items, 30, np.float32),
        tags=np.zeros((n_items, 1), np.int16),
        outside_id=np.arange(n_items),
        appeal_vector=vector,
        appeal=np.zeros((n_items, 6), np.float32),
    )


def tiny_world(*, length: int = 5, n_items: int = N_ITEMS, users: Any = None, **changes: Any) -> Simulator:
    return Simulator(users or TwoKinds(), tiny_catalog(n_items), FixedLength(length), **changes)


def slate_world() -> Simulator:
    return tiny_world(slate_size=3, length=12)


def candidate_world() -> Simulator:
    return tiny_world(candidates=SampledCandidates(6))


def log_of(policy: Any, simulator: Simulator, n: int = 300) -> InteractionLog:
    return rollout(policy, simulator, 10_000 + np.arange(n), observations=True)


def seconds_per_exposure(policy: Any, simulator: Simulator, n: int = 200) -> float:
    return float(rollout(policy, simulator, np.arange(n)).array("watch_time_s").mean())


def test_every_other_item_earns_less() -> None:
    world = tiny_world()
    crowd = world.start(np.arange(50))
    everything = np.tile(np.arange(N_ITEMS, dtype=np.int32), (50, 1))
    seconds = world.users.expect(crowd.state, everything, world.catalog).watch_time_s  # type: ignore[attr-defined]
    assert set(np.unique(crowd.state.kind)) == {0, 1}
    np.testing.assert_array_equal(seconds.argmax(axis=1), np.array(BEST)[crowd.state.kind])
    assert np.sort(seconds, axis=1)[:, -2].max() == pytest.approx(2 + 0.2 * 11)


def test_every_best_item_can_be_reached_by_a_query() -> None:
    vector = tiny_catalog().vector
    assert ((vector @ vector.T).argmax(axis=1) == np.arange(N_ITEMS)).all()
