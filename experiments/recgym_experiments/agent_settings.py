"""Settings of agents written on the command line: `ppo.steps=50000` becomes a checked value of the right type."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from recgym.errors import WrongSetting, unknown_name

YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse_overrides(texts: Iterable[str], kinds: Mapping[str, type]) -> dict[str, dict[str, Any]]:
    """Agent -> setting -> value, from texts such as "ppo.steps=50000".

    Args:
        texts: "AGENT.SETTING=VALUE"; of two for the same setting the later one counts.
        kinds: agent -> its settings dataclass.

    Raises:
        WrongSetting: a text of another form, or a value that is not of the setting's type.
        UnknownName: no such agent here, or no such setting; the message suggests the nearest.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        agent, dot, setting = name.strip().partition(".")
        if not (equals and dot and agent and setting):
            raise WrongSetting(f"--set {text!r} is not of the form AGENT.SETTING=VALUE, for example ppo.steps=50000.")
        if agent not in kinds:
            raise unknown_name("agent in this comparison", agent, kinds)
        parsed.setdefault(agent, {})[setting] = parse_value(kinds[agent], setting, value.strip(), f"--set {text}")
    return parsed


def parse_value(kind: type, setting: str, text: str, origin: str) -> Any:
    """`text` as a value of the field `setting` of the dataclass `kind`; `origin` starts the error message."""
    names = [f.name for f in fields(kind)]
    if setting not in names:
        raise unknown_name(f"setting of {kind.__qualname__}", setting, names)
    wanted = get_type_hints(kind)[setting]
    try:
        return _value(wanted, text)
    except ValueError as error:
        raise WrongSetting(f"{origin}: {text!r} is not {_words(wanted)}.") from error


def settings_json(settings: Any) -> dict[str, Any]:
    """All fields of a settings dataclass as JSON values; what JSON does not know becomes its text."""
    return {f.name: plain(getattr(settings, f.name)) for f in fields(settings)}


def plain(value: Any) -> Any:
    """`value` in JSON's terms: tuples as lists, mappings with text keys, anything unknown as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return str(value)


def _value(wanted: Any, text: str) -> Any:
    """`text` as the type `wanted`; raises ValueError where it is not one."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is bool:
        return _yes_or_no(text)
    if wanted in (int, float, str):
        return int(float(text)) if wanted is int and _whole(text) else wanted(text)
    if origin in (Union, types.UnionType):
        return _first_fitting(inner, text)
    if wanted is type(None):
        if text.lower() != "none":
            raise ValueError(text)
        return None
    if origin is Literal:
        return {str(choice): choice for choice in inner}[text] if text in map(str, inner) else _refuse(text)
    if origin in (tuple, list):
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        return origin(_value(inner[0] if inner else str, part) for part in parts)
    return json.loads(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _whole(text: str) -> bool:
    """Whether a text such as 5e4 or 50000 is a whole number."""
    return float(text).is_integer()


def _yes_or_no(text: str) -> bool:
    if text.lower() in YES + NO:
        return text.lower() in YES
    raise ValueError(text)


def _first_fitting(kinds: tuple[Any, ...], text: str) -> Any:
    """`text` as the first of several types that takes it; None first, text last."""
    for kind in sorted(kinds, key=lambda kind: (kind is not type(None), kind is str)):
        try:
            return _value(kind, text)
        except ValueError:
            continue
    raise ValueError(text)


def _words(wanted: Any) -> str:
    """The type of a setting in words."""
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(map(str, get_args(wanted)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(wanted, f"a {getattr(wanted, '__name__', wanted)} ({wanted})")
