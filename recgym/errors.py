"""The kinds of mistakes RecGym reports; a message says what was wrong, what came, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecGymError(Exception):
    """The parent of every error that RecGym raises on purpose."""


class UnknownName(RecGymError, KeyError):
    """A name that is not registered, with the nearest known name as a suggestion."""

    def __str__(self) -> str:
        """The message as written; `KeyError` alone would print its `repr`."""
        return str(self.args[0]) if self.args else ""


class NameTaken(RecGymError, ValueError):
    """A name that is registered already for something else."""


class WrongShape(RecGymError, ValueError):
    """An array whose shape or number type is not the documented one."""


class WrongSetting(RecGymError, ValueError):
    """A setting outside what is allowed, or two settings that contradict each other."""


class WrongAction(RecGymError, ValueError):
    """An action that the world cannot carry out, such as an item that is not a candidate."""


class BrokenUserModel(RecGymError, ValueError):
    """A user model that answered with a wrong shape, with NaN, or with an impossible value."""


class BadData(RecGymError, ValueError):
    """A file or log whose content is not what its format promises; names the file, and the row or column."""


class MissingExtra(RecGymError, ImportError):
    """A part of RecGym whose optional packages are not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """An `UnknownName` that lists what is known and, where one is near, suggests it."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownName(f"no {kind} called {name!r}.{hint} Known: {', '.join(names) or 'none'}.")
