"""The arrows of the architecture: experiments -> agents, envs -> recgym, and never back."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "recgym": ROOT / "recgym",
    "recgym_envs": ROOT / "envs" / "recgym_envs",
    "recgym_agents": ROOT / "agents" / "recgym_agents",
    "recgym_experiments": ROOT / "experiments" / "recgym_experiments",
}
LEARNING = {"torch", "stable_baselines3", "sb3_contrib", "d3rlpy", "ray"}
NEVER = {
    "recgym": LEARNING | {"recgym_envs", "recgym_agents", "recgym_experiments"},
    "recgym_envs": LEARNING | {"recgym_agents", "recgym_experiments"},
    "recgym_agents": {"recgym_envs", "recgym_experiments"},
    "recgym_experiments": set(),
}
ON_CALL = {"export.py": {"d3rlpy"}}
"""Files that may import what their package must not, inside the function that needs it (architecture, section 2)."""

BY_NAME = ("import_module", "__import__", "_package")
"""Functions that import what their first argument names."""

VAGUE = {"utils", "util", "common", "base", "helpers", "helper", "misc"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every absolute import, at any depth, by `import_module("name")` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__", "_package")
        ):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value.split(".")[0]


def violations(package: str, folder: Path) -> list[str]:
    """Every import in `folder` that `package` must not make, as "file:line imports name"."""
    return [
        f"{file.relative_to(folder.parent)}:{line} imports {name}"
        for file in sorted(folder.rglob("*.py"))
        for line, name in imported(file.read_text(encoding="utf-8"))
        if name in NEVER[package] - ON_CALL.get(file.name, set())
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_points_upward(package: str) -> None:
    folder = PACKAGES[package]
    assert list(folder.rglob("*.py")), f"{folder} holds no Python files: has the layout changed?"
    assert violations(package, folder) == []


@pytest.mark.parametrize(
    "line",
    [
        "import torch.nn as nn",
        "from recgym_envs.x import y",
        "def f():\n    import d3rlpy",
        "if TYPE_CHECKING:\n    from ray import tune",
        "import_module('recgym_agents.x')",
        "importlib.import_module('recgym_agents')",
    ],
)
def test_the_check_finds_a_violation(line: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(line)
    assert len(violations("recgym", tmp_path)) == 1


@pytest.mark.parametrize("line", ["import numpy", "from recgym.catalog import Catalog", "from . import torch"])
def test_the_check_lets_others_pass(line: str, tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(line)
    assert violations("recgym", tmp_path) == []


def test_no_file_has_a_vague_name() -> None:
    folders = [*PACKAGES.values(), ROOT / "tests", ROOT / "benchmarks"]
    found = [path for folder in folders for path in folder.rglob("*") if path.stem.lower() in VAGUE]
    assert [str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts] == []


def test_import_recgym_is_light() -> None:
    """`import recgym` registers the worlds and nothing else: heavy packages wait until they are used."""
    heavy = [*sorted(LEARNING), "numba", "polars", "pyarrow", "scipy", "plotly", "recgym_agents", "recgym_experiments"]
    code = f"import sys, recgym; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
