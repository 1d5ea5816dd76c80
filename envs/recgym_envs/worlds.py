"""What a world is, and how one is put together from its parts and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from recgym.catalog import Catalog
from recgym.errors import WrongSetting, unknown_name
from recgym.simulator import Simulator
from recgym.user_model import UserModel
from recgym.users import USER_MODELS
from recgym_envs import WORLDS

SETTINGS = ("session", "objective", "candidates", "slate_size", "visits", "max_steps")
"""Settings of `Simulator` that every world lets you change."""


@dataclass(frozen=True)
class World:
    """A named world: its usual parts, any of which can be exchanged when it is made."""

    summary: str
    """One line: what it is."""

    users: Callable[..., Any]
    """Makes the usual users (a `UserModel`), called without arguments."""

    catalog: Callable[[int], Catalog]
    """Makes the usual catalogue, given the number of items."""

    n_items: int
    """Usual number of items."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Usual settings of `Simulator`, by the names in `SETTINGS`."""

    own_catalog: bool = False
    """Whether the catalogue belongs to the users so closely that it has one size only."""


def make_simulator(
    world: str,
    *,
    users: UserModel[Any] | str | Path | None = None,
    catalog: Catalog | None = None,
    n_items: int | None = None,
    **settings: Any,
) -> Simulator:
    """Put a world together.

    Args:
        world: a registered id, such as "recgym/ShortVideo-v0".
        users: None for the world's own; a user model; a registered name; or a folder that `recgym fit` wrote, which
            also brings its catalogue.
        catalog: what can be shown instead of the world's own catalogue.
        n_items: size of the synthetic catalogue (default: the world's own size).
        settings: any of `SETTINGS`.

    Raises:
        UnknownName: an unknown world, user model or setting; the message suggests the nearest.
        WrongSetting: settings that contradict each other. BadData: the folder holds something else.
    """
    definition = _world(world)
    for name in settings:
        if name not in SETTINGS:
            raise unknown_name("setting of a world", name, [*SETTINGS, "users", "catalog", "n_items"])
    model, own = _users(users, definition)
    catalog = catalog if catalog is not None else own
    if catalog is not None and n_items is not None:
        raise WrongSetting("n_items sizes the synthetic catalogue; it cannot be given beside a catalogue or a folder.")
    if definition.own_catalog and n_items not in (None, definition.n_items):
        raise WrongSetting(f"{world} has exactly {definition.n_items} items; n_items={n_items} was asked for.")
    if catalog is None:
        catalog = definition.catalog(definition.n_items if n_items is None else n_items)
    return Simulator(model, catalog, **{**definition.settings, **settings})


def _world(world: str) -> World:
    definition = WORLDS.get(world)
    if not isinstance(definition, World):
        raise WrongSetting(f"the world {world!r} is registered as {type(definition).__name__}; a World is needed.")
    return definition


def _users(users: UserModel[Any] | str | Path | None, definition: World) -> tuple[UserModel[Any], Catalog | None]:
    if users is None:
        return definition.users(), None
    if not isinstance(users, str | Path):
        _check_users(users)
        return users, None
    if isinstance(users, str) and users in USER_MODELS.names():
        return cast(Callable[[], UserModel[Any]], USER_MODELS.get(users))(), None
    folder = Path(users)
    if not folder.is_dir():
        if isinstance(users, str) and "/" not in users:
            raise unknown_name("user model (or folder written by `recgym fit`)", users, USER_MODELS.names())
        raise WrongSetting(f"users={str(users)!r}: no such folder; `recgym fit` writes one.")
    return _fitted(folder.resolve(), _changed(folder))


def _changed(folder: Path) -> int:
    """When the folder's parameters were last written; 0 if there are none, which `load_fitted` then explains."""
    parameters = folder / "parameters.npz"
    return parameters.stat().st_mtime_ns if parameters.exists() else 0


@lru_cache(maxsize=2)
def _fitted(folder: Path, changed: int) -> tuple[Any, Catalog]:
    """A fitted folder read once per process, again only if it `changed`."""
    from recgym.users.fitted import load_fitted  # only now: it brings the log format and Polars

    fitted = load_fitted(folder)
    return fitted.users, fitted.catalog


def _check_users(users: object) -> None:
    missing = [
        name for name in ("feedback", "n_users", "start", "observe", "respond", "change") if not hasattr(users, name)
    ]
    if missing or isinstance(users, type):
        raise WrongSetting(
            f"users={users!r} is no user model: it lacks {', '.join(missing) or 'an instance'}. Call a class: "
            "users=TheirUsers(). See recgym.user_model.UserModel; recgym.testing.check_user_model tells more."
        )
