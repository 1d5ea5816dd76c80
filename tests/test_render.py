"""What the phone shows: the item and the seconds as text, and a picture that follows the answers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from recgym.session import FixedLength
from recgym.users.calibrated import CalibratedUsers
from recgym.users.synthetic import synthetic_catalog
from recgym_envs.render import HEIGHT, WIDTH
from recgym_envs.single_env import RecEnv
from recgym_envs.vector_env import RecVectorEnv


def settings(users: CalibratedUsers, render_mode: str | None, **more: Any) -> dict[str, Any]:
    usual = {"world": "recgym/ShortVideo-v0", "catalog": synthetic_catalog(60), "session": FixedLength(3)}
    return usual | {"users": users, "render_mode": render_mode} | more


def test_the_text_names_item_seconds_and_answers(lively_users: CalibratedUsers) -> None:
    env = RecEnv(**settings(lively_users, "ansi", slate_size=2))
    env.reset(seed=0)
    assert env.render() == "The user opens the app."
    for _ in range(2):
        _, reward, terminated, _, info = env.step(np.array([17, 42]))
        text = env.render()
        for x, seconds, feedback in zip((17, 42), info["slate_watch_time_s"], info["slate_feedback"], strict=True):
            line = next(line for line in text.splitlines() if f" {x} " in line)
            assert f"{seconds:.1f} of" in line
            assert f"{env.simulator.catalog.duration_s[x]:.1f} s" in line
            for name, yes in zip(lively_users.feedback, feedback, strict=True):
                assert (name in line) == yes
        assert f"reward {reward:.2f}" in text
    assert terminated
    assert f"back in {info['return_gap_days']:.0f} day" in text
    env.reset()
    assert env.render() == "The user opens the app."


@pytest.mark.parametrize("k", [1, 2, 6, 7])
def test_pictures_have_their_size_and_follow_the_answers(lively_users: CalibratedUsers, k: int) -> None:
    env = RecEnv(**settings(lively_users, "rgb_array", slate_size=k, session=FixedLength(99)))
    env.reset(seed=0)
    pictures = [env.render()]
    for step in range(3):
        env.step(np.arange(k) + 7 * step if k > 1 else 7 * step)
        pictures.append(env.render())
    for picture in pictures:
        assert picture.shape == (HEIGHT, WIDTH, 3) == (568, 320, 3)
        assert picture.dtype == np.uint8
    for one, other in pairwise(pictures):
        assert (one != other).any()
    np.testing.assert_array_equal(env.render(), pictures[-1])


def test_a_feedback_lights_its_icon(lively_users: CalibratedUsers) -> None:
    """Two pictures of the same step that differ in one like differ, and only near the right edge."""
    env = RecEnv(**settings(lively_users, "rgb_array"))
    env.reset(seed=0)
    env.step(5)
    screen = env._screen
    assert screen is not None
    assert screen._last is not None
    pictures = []
    for liked in (False, True):
        feedback = np.zeros((1, 7), bool)
        feedback[0, 2] = liked
        screen._last = screen._last.__class__(**{**screen._last.__dict__, "feedback": feedback})
        pictures.append(screen.picture())
    changed = np.argwhere((pictures[0] != pictures[1]).any(axis=2))
    assert len(changed) > 50
    assert changed[:, 1].min() > WIDTH * 0.7


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_both_views_show_the_same(lively_users: CalibratedUsers, mode: str) -> None:
    many = RecVectorEnv(3, **settings(lively_users, mode))
    ones = [RecEnv(**settings(lively_users, mode)) for _ in range(3)]
    many.reset(seed=20)
    for i, one in enumerate(ones):
        one.reset(seed=20 + i)
    for step in range(5):
        many.step(np.full(3, step))
        for one in ones:
            if step == 3:
                one.reset()
            else:
                one.step(step)
        shown = many.render()
        assert shown is not None
        assert len(shown) == 3
        for mine, one in zip(shown, ones, strict=True):
            np.testing.assert_array_equal(mine, one.render())


def test_nothing_is_shown_without_a_mode(lively_users: CalibratedUsers) -> None:
    many = RecVectorEnv(2, **settings(lively_users, None))
    many.reset(seed=0)
    assert many.render() is None
    one = RecEnv(**settings(lively_users, None))
    one.reset(seed=0)
    with pytest.warns(UserWarning, match="without a render_mode"):
        assert one.render() is None
