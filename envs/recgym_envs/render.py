"""What a user's phone shows: the last step as text, or as a picture with the answers lit up."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recgym.simulator import Simulator, Turn

WIDTH, HEIGHT = 320, 568
"""Size of the picture in pixels."""

_PAPER, _INK, _DIM, _LIT, _BAD = "#0d0f14", "#f4f6fa", "#5b6270", "#ff4d6d", "#ffb703"
Box = tuple[float, float, float, float]

_SIGNS: dict[str, list[tuple[bool, list[tuple[float, float]]]]] = {
    "click": [(True, [(-0.3, -0.5), (0.55, 0.0), (-0.3, 0.5)])],
    "long_view": [(False, [(0.0, -0.55), (0.0, 0.0), (0.4, 0.3)]), (False, [(-0.6, 0.6), (0.6, 0.6)])],
    "like": [(True, [(0, 0.6), (-0.6, -0.05), (-0.5, -0.45), (-0.2, -0.5), (0, -0.25), (0.2, -0.5), (0.5, -0.45),
                     (0.6, -0.05)])],
    "follow": [(False, [(-0.5, 0), (0.5, 0)]), (False, [(0, -0.5), (0, 0.5)])],
    "comment": [(True, [(-0.55, -0.45), (0.55, -0.45), (0.55, 0.25), (0.0, 0.25), (-0.3, 0.6), (-0.3, 0.25),
                        (-0.55, 0.25)])],
    "forward": [(False, [(-0.5, 0), (0.3, 0)]), (True, [(0.1, -0.45), (0.6, 0), (0.1, 0.45)])],
    "hate": [(False, [(-0.4, -0.4), (0.4, 0.4)]), (False, [(-0.4, 0.4), (0.4, -0.4)])],
}  # fmt: skip
"""The sign of each feedback as strokes (closed and filled, or open), in units of the disc's radius."""


@dataclass(frozen=True)
class _Shown:
    """One slate and its answers, plus the session so far."""

    item: np.ndarray
    watch_time_s: np.ndarray
    feedback: np.ndarray
    reward: float
    end: str
    gap_days: float


class Screen:
    """Remembers the last step of one user and draws it.

    Args:
        simulator: supplies durations, tags and the names of the feedbacks.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.catalog = simulator.catalog
        self.names = simulator.users.feedback
        self.clear()

    def clear(self) -> None:
        """Forget the session."""
        self._last: _Shown | None = None
        self._steps = 0
        self._seconds = 0.0

    def show(self, turn: Turn, row: int) -> None:
        """Take in what happened to user `row` in this step."""
        end = "left" if turn.terminated[row] else "stopped" if turn.truncated[row] else "away" if turn.left[row] else ""
        watch = turn.response.watch_time_s[row]
        self._last = _Shown(turn.item[row], watch, turn.response.feedback[row], float(turn.reward[row]), end,
                            float(turn.return_gap_days[row]))  # fmt: skip
        self._steps += 1
        self._seconds += float(watch.sum())

    def text(self) -> str:
        """The last step in a few lines."""
        if self._last is None:
            return "The user opens the app."
        last = self._last
        lines = [f"step {self._steps}   {self._seconds:.1f} s watched in this episode   reward {last.reward:.2f}"]
        for item, seconds, feedback in zip(last.item, last.watch_time_s, last.feedback, strict=True):
            duration = self.catalog.duration_s[item]
            said = ", ".join(name for name, yes in zip(self.names, feedback, strict=True) if yes) or "nothing"
            bar = "#" * round(20 * min(float(seconds / duration), 1.0))
            lines.append(
                f"video {item:>7}  {self._tag(item):>6}  [{bar:<20}] {seconds:6.1f} of {duration:6.1f} s  {said}"
            )
        return "\n".join([*lines, *self._ending()])

    def picture(self) -> np.ndarray:
        """(568, 320, 3) uint8: a phone with the shown videos, how far each was watched, and the answers lit up."""
        image = Image.new("RGB", (WIDTH, HEIGHT), "#000000")
        draw = ImageDraw.Draw(image)
        draw.rounded_rectangle((4, 4, WIDTH - 5, HEIGHT - 5), 28, _PAPER, _DIM, 2)
        draw.text((24, 18), f"step {self._steps}", _INK, _font(15))
        draw.text((WIDTH - 24, 18), f"{self._seconds:.0f} s", _INK, _font(15), anchor="ra")
        if self._last is None:
            draw.text((WIDTH / 2, HEIGHT / 2), "The user opens the app.", _INK, _font(18), anchor="mm")
        else:
            for position, box in enumerate(_boxes(len(self._last.item))):
                self._card(draw, box, position)
            for line in self._ending():
                draw.text((WIDTH / 2, HEIGHT - 26), line, _BAD, _font(14), anchor="mm")
        return np.asarray(image)

    def _ending(self) -> list[str]:
        last = self._last
        if last is None or not last.end:
            return []
        if last.end == "stopped":
            return ["We stop watching here."]
        return [f"The user leaves, back in {last.gap_days:.0f} day{'s' if last.gap_days != 1 else ''}."]

    def _card(self, draw: ImageDraw.ImageDraw, box: Box, position: int) -> None:
        assert self._last is not None
        item, said = int(self._last.item[position]), self._last.feedback[position]
        seconds, duration = float(self._last.watch_time_s[position]), float(self.catalog.duration_s[item])
        left, top, right, bottom = box
        big = bottom - top > 300
        draw.rounded_rectangle(box, 16, _colour(int(self.catalog.tag[item])))
        draw.text((left + 12, top + 10), f"video {item}", _INK, _font(20 if big else 13))
        draw.text((left + 12, top + (38 if big else 28)), self._tag(item), _INK, _font(14 if big else 11))
        y, size = (bottom - 34, 15) if big else (bottom - 20, 11)
        draw.text((left + 12, y - 1.6 * size), f"{seconds:.1f} of {duration:.0f} s", _INK, _font(size))
        if seconds / duration >= 1.05:
            draw.text((right - 12, y - 1.6 * size), f"x{seconds / duration:.1f}", _BAD, _font(size), anchor="ra")
        draw.rounded_rectangle((left + 12, y, right - 12, y + 8), 4, _PAPER)
        part = min(seconds / duration, 1.0)
        if part > 0.02:
            draw.rounded_rectangle((left + 12, y, left + 12 + (right - left - 24) * part, y + 8), 4, _LIT)
        for index, (name, yes) in enumerate(zip(self.names, said, strict=True)):
            self._icon(draw, _place(box, big, index), 17 if big else 8, name, bool(yes))

    def _tag(self, item: int) -> str:
        tag = int(self.catalog.tag[item])
        return f"tag {tag}" if tag >= 0 else "no tag"

    def _icon(self, draw: ImageDraw.ImageDraw, at: tuple[float, float], r: float, name: str, yes: bool) -> None:
        """A disc, lit where the feedback was given, with its sign: drawn, since no font has them all."""
        x, y = at
        draw.ellipse((x - r, y - r, x + r, y + r), (_BAD if name == "hate" else _LIT) if yes else _PAPER)
        ink = _INK if yes else _DIM
        strokes = _SIGNS.get(name)
        if strokes is None:
            draw.text((x, y), name[:1].upper(), ink, _font(int(1.2 * r)), anchor="mm")
        for closed, points in strokes or ():
            path = [(x + r * u, y + r * v) for u, v in points]
            if closed:
                draw.polygon(path, ink)
            else:
                draw.line(path, ink, max(int(r / 5), 1))


def _place(box: Box, big: bool, index: int) -> tuple[float, float]:
    """Middle of the icon number `index`: down the right edge of a large card, in a row across a small one."""
    left, top, right, bottom = box
    return (right - 30, top + 30 + 42 * index) if big else (left + 16 + 17.5 * index, (top + bottom) / 2 + 4)


def _boxes(k: int) -> list[Box]:
    """Where the k cards stand: one large, else two columns."""
    top, bottom = 48.0, HEIGHT - 48.0
    if k == 1:
        return [(16, top, WIDTH - 16.0, bottom)]
    rows = -(-k // 2)
    height, width = (bottom - top) / rows, (WIDTH - 32) / 2
    return [(16 + (j % 2) * width + 3, top + (j // 2) * height + 3, 16 + (j % 2 + 1) * width - 3,
             top + (j // 2 + 1) * height - 3) for j in range(k)]  # fmt: skip


def _colour(tag: int) -> tuple[int, int, int]:
    """A calm colour of its own for each tag; grey for none."""
    red, green, blue = colorsys.hls_to_rgb((tag * 0.381966) % 1.0, 0.34, 0.45 if tag >= 0 else 0.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
