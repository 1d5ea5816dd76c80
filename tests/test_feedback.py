"""The two published rules that turn watch time and duration into `click` and `long_view`, at their boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from recgym.feedback import FEEDBACK, LONG_VIEW_S, VALID_PLAY_S, long_view, valid_play

JUST = 1e-3


def seconds(value: float) -> np.ndarray:
    return np.array([[value]], np.float32)


@pytest.mark.parametrize(
    ("watch_time_s", "duration_s", "expected"),
    [
        (0.0, 5.0, False),
        (5.0 - JUST, 5.0, False),  # a short video counts when it was watched to its end,
        (5.0, 5.0, True),
        (12.0, 5.0, True),  # or looped
        (7.0 - JUST, 7.0, False),
        (7.0, 7.0, True),  # a video of exactly 7 s is still a short one
        (7.0, 7.0 + JUST, False),  # a longer one must be watched for more than 7 s,
        (7.0 + JUST, 7.0 + JUST, True),
        (7.0, 60.0, False),
        (7.0 + JUST, 60.0, True),  # but not to its end
        (60.0, 60.0, True),
    ],
)
def test_valid_play(watch_time_s: float, duration_s: float, expected: bool) -> None:
    assert valid_play(seconds(watch_time_s), seconds(duration_s)).tolist() == [[expected]]


@pytest.mark.parametrize(
    ("watch_time_s", "duration_s", "expected"),
    [
        (0.0, 10.0, False),
        (10.0 - JUST, 10.0, False),
        (10.0, 10.0, True),
        (30.0, 10.0, True),
        (18.0 - JUST, 18.0, False),
        (18.0, 18.0, True),
        (18.0 - JUST, 18.0 + JUST, False),
        (18.0, 18.0 + JUST, True),  # from here on 18 s are enough, and exactly 18 s count
        (18.0 - JUST, 60.0, False),
        (18.0, 60.0, True),
    ],
)
def test_long_view(watch_time_s: float, duration_s: float, expected: bool) -> None:
    assert long_view(seconds(watch_time_s), seconds(duration_s)).tolist() == [[expected]]


def test_the_published_thresholds() -> None:
    assert (VALID_PLAY_S, LONG_VIEW_S) == (7.0, 18.0)


def test_feedback_names_are_distinct_and_the_derived_ones_come_first() -> None:
    assert FEEDBACK[:2] == ("click", "long_view")
    assert len(set(FEEDBACK)) == len(FEEDBACK)


def test_a_long_view_is_always_a_valid_play() -> None:
    """18 s or the whole video are always more than 7 s or the whole video."""
    grid = np.arange(0.0, 100.0, 0.25, dtype=np.float32)
    watch_time_s, duration_s = grid[:, None], grid[None, 1:]
    assert not np.any(long_view(watch_time_s, duration_s) & ~valid_play(watch_time_s, duration_s))


def test_arrays_broadcast_and_stay_arrays() -> None:
    watch_time_s = np.full((3, 2), 10.0, np.float32)
    for rule in (valid_play, long_view):
        answer = rule(watch_time_s, np.array([5.0, 60.0], np.float32))
        assert answer.shape == (3, 2)
        assert answer.dtype == np.bool_
    assert valid_play(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0, 2)
