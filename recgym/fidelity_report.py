"""What a comparison of real and simulated users says: lines with targets and verdicts, and curves to plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from recgym.storage import write_json

SHOWN_ALWAYS = ("rate", "random policy", "calibration error", "AUC", "users alike", "items alike")
"""Parts of a report that the console table shows in full; of the others it shows what misses its target."""


@dataclass(frozen=True)
class Line:
    """One number of the log beside the same number of the simulation.

    part: "rate", "watch time, s", ... name: which number. real, simulated: None where there is none. low, high: the
    log's 95 % bootstrap interval over users, where it was made. target: what has to be reached, "" = only shown.
    within: whether it is; None without a target.
    """

    part: str
    name: str
    real: float | None
    simulated: float | None
    low: float | None = None
    high: float | None = None
    target: str = ""
    within: bool | None = None

    @property
    def verdict(self) -> str:
        """In words."""
        return "shown only" if self.within is None else "within target" if self.within else "outside"

    @property
    def inside(self) -> bool | None:
        """Whether the simulated number lies in the log's interval; None without one."""
        if self.low is None or self.high is None or self.simulated is None:
            return None
        return self.low <= self.simulated <= self.high


@dataclass(frozen=True)
class Target:
    """How near a simulated number has to come: any one of these will do.

    relative: share of the log's number. absolute: in its units. interval: inside the log's 95 % interval.
    """

    relative: float
    absolute: float = 0.0
    interval: bool = False

    def __str__(self) -> str:
        parts = [f"{self.relative:.0%}"] if self.relative else []
        parts += [f"{self.absolute:g}"] if self.absolute else []
        return "within " + " or ".join(parts) + ", or in the log's 95 % interval" * self.interval

    def line(
        self, part: str, name: str, real: float, simulated: float, interval: tuple[float, float] | None = None
    ) -> Line:
        """The line of two numbers, judged; without a verdict where the log has no number."""
        if not np.isfinite(real):
            return Line(part, name, None, finite(simulated))
        low, high = (None, None) if interval is None else (finite(interval[0]), finite(interval[1]))
        near = abs(simulated - real) <= max(self.relative * abs(real), self.absolute) + 1e-12
        if self.interval and low is not None and high is not None:
            near = near or low <= simulated <= high
        return Line(part, name, float(real), finite(simulated), low, high, str(self), bool(near))


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinity."""
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class FidelityReport:
    """What was compared.

    title: of what with what. lines: every comparison. curves: name -> plain lists, for plots. notes: sentences.
    """

    title: str
    lines: tuple[Line, ...]
    curves: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def judged(self) -> tuple[Line, ...]:
        """The lines that have a target."""
        return tuple(line for line in self.lines if line.within is not None)

    @property
    def outside(self) -> tuple[Line, ...]:
        """The lines that miss their target."""
        return tuple(line for line in self.lines if line.within is False)

    @property
    def summary(self) -> str:
        """One sentence: how many lines are within target."""
        return f"{len(self.judged) - len(self.outside)} of {len(self.judged)} lines within target."

    def part(self, name: str) -> tuple[Line, ...]:
        """The lines of one part."""
        return tuple(line for line in self.lines if line.part == name)

    def to_json(self) -> dict[str, Any]:
        """The whole report as JSON values; there is no NaN in it."""
        return {
            "title": self.title, "judged": len(self.judged), "outside": len(self.outside), "summary": self.summary,
            "lines": [asdict(line) | {"verdict": line.verdict, "inside_interval": line.inside} for line in self.lines],
            "curves": plain(self.curves), "notes": list(self.notes),
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Write `to_json` to a file."""
        write_json(Path(path), self.to_json())

    def table(self, everything: bool = False) -> Table:
        """A table for the console: the main parts and all misses, or every line."""
        table = Table(title=self.title, caption=self.summary)
        for name in ("part", "", "log", "95 % interval", "simulated", "target", "verdict"):
            table.add_column(name, justify="right" if name in ("log", "simulated") else "left", overflow="fold")
        for line in self.lines:
            if everything or line.within is False or line.part in SHOWN_ALWAYS:
                colour = {True: "green", False: "red", None: "dim"}[line.within]
                table.add_row(line.part, line.name, short(line.real), interval_text(line), short(line.simulated),
                              line.target, f"[{colour}]{line.verdict}[/]")  # fmt: skip
        return table


def short(value: float | None) -> str:
    """A number with four digits, or nothing."""
    return "" if value is None else f"{value:.4g}"


def interval_text(line: Line) -> str:
    """The log's interval, or nothing."""
    return f"{short(line.low)} .. {short(line.high)}" if line.low is not None else ""


def plain(value: Any) -> Any:
    """Arrays as lists, NaN and infinity as None: JSON values only."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
