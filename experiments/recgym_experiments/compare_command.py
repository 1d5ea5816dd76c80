"""`recgym compare` and `recgym run`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from recgym.errors import unknown_name
from recgym_experiments import EXPERIMENTS
from recgym_experiments.flags import parsed, peek, settings_of
from recgym_experiments.screen import screen


def compare(words: Sequence[str]) -> None:
    """Train agents and compare them; the flags start from those of the preset."""
    from recgym_experiments.compare import PRESETS, Settings, online_comparison

    preset = peek(words, "--preset", "full")
    online_comparison(parsed(Settings, words, "compare", PRESETS.get(preset, PRESETS["full"])))


def run(words: Sequence[str]) -> None:
    """Run a registered experiment; its flags are its settings."""
    if not words or words[0] in ("-h", "--help"):
        _list_experiments()
        return
    name = words[0]
    if name not in EXPERIMENTS.names():
        raise unknown_name(EXPERIMENTS.kind, name, EXPERIMENTS.names())
    if name == "online_comparison":
        compare(words[1:])
        return
    experiment = EXPERIMENTS.get(name)
    experiment(parsed(settings_of(experiment, "experiment", name), words[1:], f"run {name}"))


def _list_experiments() -> None:
    console = screen()
    console.print("[bold]Usage:[/bold] recgym run EXPERIMENT [--flags]\n")
    for name in EXPERIMENTS.names():
        question = (import_module(EXPERIMENTS.get(name).__module__).__doc__ or "").strip().partition("\n")[0]
        console.print(f"  [cyan]{name}[/cyan]  {question}", highlight=False)
