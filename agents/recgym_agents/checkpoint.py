"""Agents on disk: settings and the world's measures as JSON, weights as safetensors; nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from recgym.errors import BadData, MissingExtra, WrongSetting, unknown_name
from recgym.simulator import Simulator
from recgym.storage import read_json, whole_file, write_json

FORMAT_VERSION = 1
"""Version of the folder's format; a folder with a larger one was written by a newer RecGym and is refused."""

SETTINGS_FILE, WEIGHTS_FILE = "agent.json", "weights.safetensors"

S = TypeVar("S")


def user_width(simulator: Simulator) -> int:
    """Columns of the flat observation that describe the user; columns of candidates may follow them."""
    flat = simulator.flat(simulator.start(np.zeros(1, np.int64)))
    per_candidate = int(simulator.catalog.vector.shape[1]) + 1
    return int(flat.shape[1]) - simulator.candidates.size * per_candidate


def settings_from(kind: type[S], values: Mapping[str, Any], owner: str) -> S:
    """A settings dataclass from names and values; `UnknownName` suggests the nearest setting."""
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise unknown_name(f"setting of {owner}", name, known)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def save_checkpoint(
    folder: Path, agent: str, settings: Any, weights: Mapping[str, np.ndarray], needs: Mapping[str, Any]
) -> None:
    """Write an agent into `folder`.

    Args:
        folder: made if it is not there.
        agent: the agent's name.
        settings: its settings, a dataclass of JSON values.
        weights: named arrays; may be empty.
        needs: what a world must have to run this agent, such as {"catalogue size": 7583}.
    """
    with whole_file(Path(folder) / WEIGHTS_FILE) as partial:
        partial.write_bytes(_safetensors().save({name: np.ascontiguousarray(array) for name, array in weights.items()}))
    write_json(
        Path(folder) / SETTINGS_FILE,
        {"format": FORMAT_VERSION, "agent": agent, "settings": asdict(settings), "needs": dict(needs)},
    )


def agent_name(folder: Path) -> str:
    """Name of the agent that was saved in `folder`; `BadData` if there is none."""
    return str(_header(Path(folder))["agent"])


def load_checkpoint(
    folder: Path, agent: str, kind: type[S], needs: Mapping[str, Any]
) -> tuple[S, dict[str, np.ndarray]]:
    """Read what `save_checkpoint` wrote: settings and weights.

    Args:
        folder: where it was written.
        agent: the agent's name.
        kind: the settings dataclass.
        needs: what the world at hand has, under the names of `save_checkpoint`.

    Raises:
        BadData: no such file, another agent's, or damaged.
        UnknownName: a setting that this agent does not have; the message suggests the nearest.
        WrongSetting: the agent was made for a world of other measures.
    """
    header = _header(Path(folder))
    if header["agent"] != agent:
        raise BadData(f"{folder}: holds an agent called {header['agent']!r}, not {agent!r}; load it as what it is.")
    settings = settings_from(kind, header["settings"], agent)
    for name, wanted in header["needs"].items():
        if needs.get(name, wanted) != wanted:
            raise WrongSetting(
                f"{folder}: this {agent} agent was made for a world with {name} {wanted}, but this one has "
                f"{needs[name]}. Load it with the world it was made in, or learn anew."
            )
    return settings, _weights(Path(folder) / WEIGHTS_FILE)


def check_arrays(folder: Path, weights: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that lack an array or have one of another shape; `BadData` names it."""
    for name, shape in shapes.items():
        if name not in weights:
            raise BadData(f"{folder}: {WEIGHTS_FILE} lacks {name!r}; it holds {', '.join(sorted(weights)) or 'none'}.")
        if weights[name].shape != shape:
            raise BadData(f"{folder}: {WEIGHTS_FILE}: {name!r} has shape {weights[name].shape}; {shape} is needed.")


def _header(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_FILE
    header = read_json(path)
    lacking = [name for name in ("format", "agent", "settings", "needs") if name not in header] if isinstance(
        header, dict) else ["format"]  # fmt: skip
    if lacking:
        raise BadData(f"{path}: lacks {', '.join(lacking)}; this is not a file that an agent's save wrote.")
    if header["format"] > FORMAT_VERSION:
        raise BadData(
            f"{path}: format version {header['format']}; this RecGym reads up to {FORMAT_VERSION}. Update it."
        )
    return dict(header)


def _weights(path: Path) -> dict[str, np.ndarray]:
    try:
        return dict(_safetensors().load(path.read_bytes()))
    except FileNotFoundError as error:
        raise BadData(f"{path}: no such file.") from error
    except Exception as error:  # the library has its own error class, which it does not export to type checkers
        raise BadData(f"{path}: damaged, or not a safetensors file ({error}).") from error


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtra("agents are saved with safetensors: pip install 'recgym[train]'.") from error
    return safetensors.numpy
