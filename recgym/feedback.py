"""What users answer: watch time and the named feedbacks of a short-video feed."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

FEEDBACK: Final = ("click", "long_view", "like", "follow", "comment", "forward", "hate")
"""Feedbacks of the ready-made users, in column order. `click` is a valid play, `long_view` a long one."""

VALID_PLAY_S: Final = 7.0
"""A play longer than this (or the whole video, if it is not longer) is a valid play: KuaiRand's `is_click`."""

LONG_VIEW_S: Final = 18.0
"""A play at least this long (or the whole video, if it is not longer) is a long view: KuaiRand's `long_view`."""


class Response(NamedTuple):
    """What n users did with the k items they were shown.

    watch_time_s: (n, k) float32, seconds, 0 = skipped at once; more than the duration when the video looped.
    feedback: (n, k, F) bool; columns in the order of the user model's `feedback` names.
    """

    watch_time_s: np.ndarray
    feedback: np.ndarray


def valid_play(watch_time_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    """KuaiRand's published rule for `is_click` in the single-column feed; arrays broadcast, seconds in, bool out."""
    whole = watch_time_s >= duration_s
    return np.asarray(np.where(duration_s <= VALID_PLAY_S, whole, watch_time_s > VALID_PLAY_S))


def long_view(watch_time_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    """KuaiRand's published rule for `long_view`; arrays broadcast, seconds in, bool out."""
    whole = watch_time_s >= duration_s
    return np.asarray(np.where(duration_s <= LONG_VIEW_S, whole, watch_time_s >= LONG_VIEW_S))
