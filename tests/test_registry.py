"""The registry: lazy look-up, helpful refusals, plug-ins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from recgym.errors import NameTaken, RecGymError, UnknownName
from recgym.registry import Registry


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("user model", "recgym.nobody_registers_here")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[str]]:
    """Pretend that an installed package declares one entry point; returns the list of groups asked for."""

    def declare(name: str, value: str) -> list[str]:
        asked: list[str] = []

        def entry_points(group: str) -> list[EntryPoint]:
            asked.append(group)
            return [EntryPoint(name, value, group)]

        monkeypatch.setattr("recgym.registry.entry_points", entry_points)
        return asked

    return declare


def test_an_object_comes_back_as_it_is(registry: Registry[object]) -> None:
    thing = object()
    registry.add("thing", thing)
    assert registry.get("thing") is thing


def test_a_string_is_imported_only_when_asked_for(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_module_of_a_test.py").write_text("class Thing: pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.add("thing", "lazy_module_of_a_test:Thing")
    assert registry.names() == ["thing"]
    assert "lazy_module_of_a_test" not in sys.modules
    thing = registry.get("thing")
    assert thing is sys.modules.pop("lazy_module_of_a_test").Thing
    assert registry.get("thing") is thing


def test_names_are_sorted(registry: Registry[object]) -> None:
    for name in ("b", "c", "a"):
        registry.add(name, "os:sep")
    assert registry.names() == ["a", "b", "c"]


def test_an_unknown_name_suggests_the_nearest(registry: Registry[object]) -> None:
    registry.add("linear_taste", "os:sep")
    registry.add("calibrated", "os:sep")
    with pytest.raises(UnknownName) as caught:
        registry.get("linear_tast")
    assert str(caught.value) == (
        "no user model called 'linear_tast'. Did you mean 'linear_taste'? Known: calibrated, linear_taste."
    )
    assert isinstance(caught.value, KeyError)


def test_an_unknown_name_far_from_all_suggests_nothing(registry: Registry[object]) -> None:
    with pytest.raises(UnknownName, match=r"no user model called 'xyz'\. Known: none\."):
        registry.get("xyz")


def test_a_taken_name_is_refused(registry: Registry[object]) -> None:
    registry.add("mine", "os:sep")
    with pytest.raises(NameTaken, match=r"the user model 'mine' is already registered as 'os:sep'; choose another"):
        registry.add("mine", "os:linesep")
    assert registry.get("mine") == __import__("os").sep


def test_the_same_line_twice_is_no_clash(registry: Registry[object]) -> None:
    registry.add("mine", "os:sep")
    registry.add("mine", "os:sep")
    assert registry.names() == ["mine"]


def test_the_same_line_again_after_a_look_up_is_no_clash(registry: Registry[object]) -> None:
    registry.add("mine", "os:sep")
    registry.get("mine")
    registry.add("mine", "os:sep")


@pytest.mark.parametrize("path", ["os:no_such_thing", "no_such_module_at_all:Thing"])
def test_a_string_that_points_nowhere_says_which(registry: Registry[object], path: str) -> None:
    registry.add("mine", path)
    with pytest.raises(RecGymError, match=f"the user model 'mine' is registered as '{path}'"):
        registry.get("mine")


def test_plug_ins_are_read_once_and_not_before_the_first_look_up(
    registry: Registry[object], plugin: Callable[[str, str], list[str]]
) -> None:
    asked = plugin("theirs", "os:sep")
    registry.add("ours", "os:linesep")
    assert asked == []
    assert registry.names() == ["ours", "theirs"]
    assert registry.get("theirs") == __import__("os").sep
    assert asked == ["recgym.nobody_registers_here"]


def test_a_plug_in_cannot_take_our_name(registry: Registry[object], plugin: Callable[[str, str], list[str]]) -> None:
    plugin("ours", "os:sep")
    registry.add("ours", "os:linesep")
    with pytest.raises(NameTaken, match="'ours' is already registered as 'os:linesep'"):
        registry.get("ours")
