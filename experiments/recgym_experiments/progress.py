"""How far a long experiment is: two bars in a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from recgym_experiments.curves import LEARNING

LINE_EVERY_S = 20.0
"""Outside a terminal, seconds between two lines about the same piece of work."""


class CellProgress:
    """Progress of a comparison: one bar over all cells, one of the piece of work at hand.

    Use as a context manager; then, for every cell, `begin`, any number of `move`, and `done`.

    Args:
        console: where it is shown.
        cells: how many there are; 0 = the work has stages only, and there is no bar over all of it.
    """

    def __init__(self, console: Console, cells: int = 0) -> None:
        self.console = console
        self.cells = cells
        self.finished = 0
        self._bars = _bars(console) if console.is_terminal else None
        self._total: TaskID | None = None
        self._task: TaskID | None = None
        self._title = ""
        self._size: int | None = None
        self._at = 0
        self._note = ""
        self._spoke_s = self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
            if self.cells:
                self._total = self._bars.add_task("all agents and seeds", total=self.cells, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def begin(self, title: str, size: int | None) -> None:
        """A new piece of work: `size` steps, users or sessions; None where nobody knows."""
        self._title, self._size, self._at, self._note = title, size, 0, ""
        self._spoke_s = self._began_s = time.monotonic()
        if self._bars:
            self._end_task()
            self._task = self._bars.add_task(escape(title), total=size, note="")
        else:
            self._line(title)

    def move(self, at: int, scalars: Mapping[str, float] | None = None) -> None:
        """The piece of work has come to `at`; the most telling of `scalars` is shown."""
        self._at = at
        for name in LEARNING:
            if scalars and name in scalars:
                self._note = f"{name.partition('/')[2]} {scalars[name]:.4g}"
                break
        if self._bars and self._task is not None:
            self._bars.update(self._task, completed=at, note=self._note)
        elif not self._bars and time.monotonic() - self._spoke_s > LINE_EVERY_S:
            self._spoke_s = time.monotonic()
            of = f" of {self._size:,}" if self._size else ""
            self._line(f"{self._title}: {at:,}{of} {self._note}".rstrip())

    def stage(self, title: str, share: float) -> None:
        """The stage `title` is done to this share; another title begins another stage."""
        if title != self._title:
            self.begin(title, 100)
        self.move(round(100 * share))

    def done(self, summary: str) -> None:
        """A cell is finished; `summary` is kept on the screen as a line."""
        self.finished += 1
        if self._bars:
            self._end_task()
            if self._total is not None:
                self._bars.update(self._total, completed=self.finished)
        self._line(summary)

    def _end_task(self) -> None:
        if self._bars and self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def _line(self, text: str) -> None:
        count = f"[dim][{self.finished}/{self.cells}][/dim] " if self.cells else ""
        self.console.print(f"{count}{escape(text)}", highlight=False)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"), console=console,
    )  # fmt: skip
