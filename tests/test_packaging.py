"""What an installation must hold: entry points, types, every folder, and pins that fit what is declared."""

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("recgym", "recgym_envs", "recgym_agents", "recgym_experiments")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): Version(version) for name, version in pairs}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def declared() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)]
    return [requirement for requirement in map(Requirement, lines) if requirement.name != "recgym"]


def test_the_console_script_and_the_worlds_are_declared() -> None:
    points = {(point.group, point.name): point.value for point in distribution("recgym").entry_points}
    assert points[("console_scripts", "recgym")] == "recgym_experiments.command_line:main"
    assert points[("recgym.plugins", "envs")] == "recgym_envs.registration:register"


@pytest.mark.parametrize("group", ["console_scripts", "recgym.plugins"])
def test_every_entry_point_can_be_called(group: str) -> None:
    """Also where torch is not installed: both must load with the base dependencies alone."""
    points = list(distribution("recgym").entry_points.select(group=group))
    assert points
    for point in points:
        assert callable(point.load())


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_installed_with_its_types(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).with_name("py.typed").is_file()


def test_the_installation_is_of_this_version() -> None:
    assert distribution("recgym").version == PROJECT["version"]


@pytest.mark.parametrize(
    "package", ["recgym", "envs/recgym_envs", "agents/recgym_agents", "experiments/recgym_experiments"]
)
def test_every_folder_with_code_is_a_package(package: str) -> None:
    """A folder without __init__.py works in an editable installation and is missing from the wheel."""
    folders = {file.parent for file in (ROOT / package).rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_simulator_declares_no_learning_library() -> None:
    required = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not required & {"torch", "ray", "d3rlpy", "stable-baselines3", "tensorboard"}


def test_every_declared_dependency_is_pinned_to_a_version_it_allows() -> None:
    pinned = pins()
    for requirement in declared():
        version = pinned.get(normal(requirement.name))
        assert version is not None, f"constraints.txt does not pin {requirement.name}: run `make constraints`"
        assert requirement.specifier.contains(version), f"{requirement} does not allow {version}"


def test_no_pin_is_of_a_local_build() -> None:
    """torch 2.13.0+cpu exists on few machines; 2.13.0 accepts it and every other build."""
    assert {name: str(version) for name, version in pins().items() if version.local} == {}
