"""The command line: `recgym COMMAND`. Each command is imported, and its flags are made, only when it is called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from recgym.errors import MissingExtra, RecGymError, unknown_name


class Command(NamedTuple):
    """One command.

    place: "module:function"; the function gets the words after the command. summary: one line. example: one call.
    """

    place: str
    summary: str
    example: str


COMMANDS: Final = {
    "compare": Command(
        "recgym_experiments.compare_command:compare",
        "Train agents and compare them on the same users: table, JSON, TensorBoard, report.",
        "recgym compare --preset demo --out runs/demo",
    ),
    "fit": Command(
        "recgym_experiments.data_commands:fit",
        "Estimate simulated users from a real log.",
        "recgym fit kuairand data/KuaiRand-Pure --first-date 20220425 --last-date 20220501 --out runs/fitted",
    ),
    "fidelity": Command(
        "recgym_experiments.data_commands:fidelity",
        "Compare simulated users with real ones.",
        "recgym fidelity runs/fitted --log data/KuaiRand-Pure --first-date 20220502 --out runs/fidelity",
    ),
    "simulate": Command(
        "recgym_experiments.data_commands:simulate",
        "Write an interaction log of simulated users.",
        "recgym simulate --sessions 1000 --seed 0 --out log.parquet",
    ),
    "worlds": Command("recgym_experiments.listings:worlds", "List the worlds.", "recgym worlds"),
    "agents": Command(
        "recgym_experiments.listings:agents", "List the agents, or the settings of one.", "recgym agents ppo"
    ),
    "run": Command(
        "recgym_experiments.compare_command:run",
        "Run a named experiment.",
        "recgym run online_comparison --preset quick",
    ),
}
"""All commands in the order in which they are listed."""

_OPTIONAL = {"torch", "stable_baselines3", "sb3_contrib", "d3rlpy", "safetensors", "sklearn", "tensorboard"}
"""Packages of the extra `train`."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, with 2 after a mistake of the user, with 130 when interrupted."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        _chosen(words)(words[1:])
    except KeyboardInterrupt:
        _complain("Stopped. The same command goes on where it stopped, if it is a comparison.")
        sys.exit(130)
    except (RecGymError, ModuleNotFoundError) as error:
        error = _missing_extra(error) if isinstance(error, ModuleNotFoundError) else error
        if debug:
            traceback.print_exc()
        _complain(str(error))
        sys.exit(2)


def _chosen(words: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """The function of the command that was called, with the other words as its argument."""
    if not words or words[0] in ("-h", "--help", "help"):
        return lambda rest: _help()
    if words[0] in ("--version", "version"):
        return lambda rest: _version()
    if words[0] not in COMMANDS:
        raise unknown_name("command", words[0], COMMANDS)
    module, _, function = COMMANDS[words[0]].place.partition(":")
    chosen: Callable[[Sequence[str]], None] = getattr(import_module(module), function)
    return chosen


def _help() -> None:
    console = Console(soft_wrap=True)
    console.print("[bold]recgym[/bold]: simulated short-video users, and agents that learn what to show them.\n")
    console.print(
        "[bold]Usage:[/bold] recgym COMMAND [--flags]    (each command explains itself: recgym COMMAND --help)\n"
    )
    width = max(map(len, COMMANDS))
    for name, command in COMMANDS.items():
        console.print(f"  [cyan]{name:<{width}}[/cyan]  {escape(command.summary)}", highlight=False)
        console.print(f"  {'':<{width}}  [dim]{escape(command.example)}[/dim]", highlight=False)
    console.print("\n  [dim]--debug shows where an error was raised; --version the version.[/dim]", highlight=False)


def _version() -> None:
    import recgym

    Console().print(f"recgym {recgym.__version__}", highlight=False)


def _missing_extra(error: ModuleNotFoundError) -> RecGymError:
    """What to install for a package that is missing; any other missing module is a defect and stays what it is."""
    package = (error.name or "").partition(".")[0]
    if package not in _OPTIONAL:
        raise error
    return MissingExtra(f"this needs {package}, which is not installed: pip install 'recgym[train]'.")


def _complain(message: str) -> None:
    """One red message on standard error."""
    Console(stderr=True, soft_wrap=True).print(
        f"[bold red]recgym:[/bold red] [red]{escape(message)}[/red]", highlight=False
    )


if __name__ == "__main__":
    main()
