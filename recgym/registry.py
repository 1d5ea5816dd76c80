"""Named things that can be looked up, and added to from the outside."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from recgym.errors import MissingExtra, NameTaken, RecGymError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary of named things that imports each only when it is asked for.

    An entry is an object, or a string "module:Name". Installed packages add theirs through the
    entry-point group given here, which is read at the first look-up and never before. A name can be taken only
    once; asking for an unknown one lists the known names and suggests the nearest.

    Args:
        kind: what is kept here, in one or two words for the messages ("user model").
        group: entry-point group that other people's packages may fill ("recgym.user_models").
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T | str] = {}
        self._imported: dict[str, T] = {}
        self._plugins_read = False

    def add(self, name: str, entry: T | str) -> None:
        """Register `entry` (an object, or "module:Name") as `name`; refuses a name that is taken."""
        taken = self._entries.get(name)
        if taken is not None and taken != entry:
            raise NameTaken(f"the {self.kind} {name!r} is already registered as {taken!r}; choose another name.")
        self._entries[name] = entry

    def get(self, name: str) -> T:
        """The thing registered as `name`, imported now if it was given as a string.

        Raises:
            UnknownName: no such name; the message suggests the nearest.
            RecGymError: the string does not point to anything that can be imported.
        """
        self._read_plugins()
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        entry = self._entries[name]
        if not isinstance(entry, str):
            return entry
        if name not in self._imported:
            self._imported[name] = self._import(name, entry)
        return self._imported[name]

    def names(self) -> list[str]:
        """All registered names, sorted; nothing is imported."""
        self._read_plugins()
        return sorted(self._entries)

    def _import(self, name: str, path: str) -> T:
        module, _, attribute = path.partition(":")
        try:
            return cast(T, getattr(import_module(module), attribute))
        except ModuleNotFoundError as error:
            if error.name is None or module.split(".")[0] == error.name.split(".")[0]:
                raise RecGymError(f"the {self.kind} {name!r} is registered as {path!r}, but {error}.") from error
            raise MissingExtra(
                f"the {self.kind} {name!r} is registered as {path!r}, which needs {error.name!r}: "
                f"pip install {error.name}, or an extra of RecGym such as pip install 'recgym[train]'."
            ) from error
        except AttributeError as error:
            raise RecGymError(f"the {self.kind} {name!r} is registered as {path!r}, but {error}.") from error

    def _read_plugins(self) -> None:
        if self._plugins_read:
            return
        self._plugins_read = True
        for point in entry_points(group=self.group):
            self.add(point.name, point.value)
