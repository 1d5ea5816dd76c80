"""recgym/TwoItem-v0: two videos, two kinds of people, and a best policy that is known in closed form.

Each person finds one video catchy (10 s of watching, then a chance of one half to leave) and the other one solid (6 s,
then one tenth). Which is which depends on the person's kind, seen in the profile. Showing the solid one always is
best from a discount of 2/3 upwards; looking one step ahead picks the catchy one and loses two thirds at discount 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recgym.catalog import APPEAL, Catalog
from recgym.feedback import FEEDBACK, Response, long_view, valid_play
from recgym.noise import Noise
from recgym.session import FixedLength
from recgym.user_model import Expected, Habits
from recgym_envs.worlds import World

CATCHY_S, SOLID_S = 10.0, 6.0
"""Seconds watched of the two videos."""

CATCHY_LEAVES, SOLID_LEAVES = 0.5, 0.1
"""Chance of leaving after each."""

_LIKE, _HATE = FEEDBACK.index("like"), FEEDBACK.index("hate")
_LIKE_PROBABILITY, _HATE_PROBABILITY = 0.3, 0.2


def best_value(discount: float = 1.0) -> float:
    """Expected discounted seconds of a session under the best policy: the larger of two geometric sums.

    V(video) = seconds / (1 - discount * chance of staying), the same at every step since nothing else changes.
    """
    return max(item_value("catchy", discount), item_value("solid", discount))


def item_value(video: str, discount: float = 1.0) -> float:
    """Expected discounted seconds when the "catchy" or the "solid" video is shown always."""
    seconds, leaves = {"catchy": (CATCHY_S, CATCHY_LEAVES), "solid": (SOLID_S, SOLID_LEAVES)}[video]
    return seconds / (1 - discount * (1 - leaves))


class Kind(NamedTuple):
    """(n,) int64: 0 or 1, the number of the video that this person finds solid."""

    solid: np.ndarray


class TwoItemUsers:
    """Two kinds of people. The solid video is liked with chance 0.3, the catchy one hated with chance 0.2."""

    feedback: tuple[str, ...] = FEEDBACK
    n_users = 1_000

    def start(self, user: np.ndarray, noise: Noise) -> Kind:
        """See `UserModel.start`: even persons are of kind 0, odd ones of kind 1."""
        return Kind(np.asarray(user % 2))

    def observe(self, state: Kind) -> np.ndarray:
        """(n, 2) float32: the kind, one-hot."""
        return np.asarray(np.eye(2, dtype=np.float32)[state.solid])

    def respond(self, state: Kind, item: np.ndarray, catalog: Catalog, noise: Noise) -> Response:
        """See `UserModel.respond`."""
        solid = item == state.solid[:, None]
        watch = np.where(solid, SOLID_S, CATCHY_S).astype(np.float32)
        feedback = np.zeros((*item.shape, len(FEEDBACK)), bool)
        feedback[..., 0] = valid_play(watch, catalog.duration_s[item])
        feedback[..., 1] = long_view(watch, catalog.duration_s[item])
        feedback[..., _LIKE] = solid & (noise.uniform("like", item.shape[1]) < _LIKE_PROBABILITY)
        feedback[..., _HATE] = ~solid & (noise.uniform("hate", item.shape[1]) < _HATE_PROBABILITY)
        return Response(watch, feedback)

    def change(self, state: Kind, item: np.ndarray, response: Response, catalog: Catalog, noise: Noise) -> Kind:
        """People stay as they are."""
        return state

    def expect(self, state: Kind, item: np.ndarray, catalog: Catalog) -> Expected:
        """See `ExpectingUserModel.expect`."""
        solid = item == state.solid[:, None]
        watch = np.where(solid, SOLID_S, CATCHY_S).astype(np.float32)
        probability = np.zeros((*item.shape, len(FEEDBACK)), np.float32)
        probability[..., 0] = valid_play(watch, catalog.duration_s[item])
        probability[..., 1] = long_view(watch, catalog.duration_s[item])
        probability[..., _LIKE] = np.where(solid, _LIKE_PROBABILITY, 0)
        probability[..., _HATE] = np.where(solid, 0, _HATE_PROBABILITY)
        return Expected(watch, probability)


class LeaveByVideo(FixedLength):
    """People leave with the chance that belongs to the last video they saw."""

    def leaves(
        self, state: np.ndarray, habits: Habits, item: np.ndarray, response: Response,
        feedback: tuple[str, ...], catalog: Catalog, noise: Noise,
    ) -> np.ndarray:  # fmt: skip
        """See `SessionModel.leaves`."""
        state[:, 0] += item.shape[1]
        chance = np.where(response.watch_time_s[:, -1] == CATCHY_S, CATCHY_LEAVES, SOLID_LEAVES)
        return np.asarray(noise.uniform("leave")[:, 0] < chance)


def two_videos(n_items: int = 2) -> Catalog:
    """The two videos, of 20 seconds each; their vectors are (1, 0, 0, 0) and (0, 1, 0, 0)."""
    return Catalog(
        vector=np.eye(2, 4, dtype=np.float32),
        duration_s=np.full(2, 20, np.float32),
        tags=np.array([[0], [1]], np.int16),
        outside_id=np.arange(2),
        appeal_vector=np.eye(2, 4, dtype=np.float32),
        appeal=np.zeros((2, len(APPEAL)), np.float32),
    )


WORLD = World(
    summary="Two videos, two kinds of people, and a known best value (60 s a session); greed earns 20 s.",
    users=TwoItemUsers,
    catalog=two_videos,
    n_items=2,
    settings={"session": LeaveByVideo()},
    own_catalog=True,
)
