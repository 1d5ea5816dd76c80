"""From a settings dataclass to command-line flags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import tyro

from recgym.errors import RecGymError
from recgym_experiments.command_line import COMMANDS

S = TypeVar("S")


def parsed(kind: type[S], words: Sequence[str], command: str, default: S | None = None) -> S:
    """A settings dataclass from the words after `command`; help and mistakes are dealt with (exit code 0 or 2).

    Args:
        kind: a dataclass; the text under each field is its help.
        words: what was typed after the command.
        command: name of the command, for the help.
        default: where the fields start from; None = the defaults of the class.
    """
    extra: dict[str, Any] = {} if default is None else {"default": default}
    settings: S = tyro.cli(
        kind, args=list(words), prog=f"recgym {command}", description=description(command),
        config=(tyro.conf.FlagCreatePairsOff,), **extra,
    )  # fmt: skip
    return settings


def description(command: str) -> str:
    """What the help of a command begins with: its summary and an example."""
    known = COMMANDS[command.partition(" ")[0]]
    return f"{known.summary}\n\nExample: {known.example}"


def peek(words: Sequence[str], flag: str, default: str) -> str:
    """The value of `flag` among the words, before they are parsed; the last one counts."""
    value = default
    for i, word in enumerate(words):
        if word == flag:
            value = words[i + 1] if i + 1 < len(words) else ""
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def settings_of(function: Callable[..., Any], kind: str, name: str) -> type[Any]:
    """The dataclass `Settings` of the module in which a loader or an experiment is defined."""
    found = getattr(sys.modules[function.__module__], "Settings", None)
    if found is None:
        raise RecGymError(
            f"the {kind} {name!r} has no Settings: its module {function.__module__} must define a dataclass."
        )
    return cast(type[Any], found)
