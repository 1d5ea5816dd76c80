"""The console that everything is shown on."""

from __future__ import annotations

import os

from rich.console import Console

PLAIN_WIDTH = 150
"""Width of tables where the output is no terminal and says nothing of its width."""


def screen() -> Console:
    """Standard output: as wide as the terminal, or `PLAIN_WIDTH` in a file or a pipe."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=PLAIN_WIDTH)
