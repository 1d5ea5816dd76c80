"""Compiled functions come from the cache, unless any file that holds one was edited."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recgym
from recgym import compiled as cache
from recgym.compiled import compiled, fingerprint

HOME = Path(recgym.__file__).parent
INNER = "from compiled import compiled\n\n\n@compiled\ndef inner(x):\n    return x + 1\n"
OUTER = (
    "from compiled import compiled\nfrom inner import inner\n\n\n@compiled\ndef outer(x):\n    return 10 * inner(x)\n"
)
PLAY = "from outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with `recgym.compiled`, a compiled function, and in another file one that calls it."""
    shutil.copy(HOME / "compiled.py", tmp_path)
    (tmp_path / "inner.py").write_text(INNER, encoding="utf-8")
    (tmp_path / "outer.py").write_text(OUTER, encoding="utf-8")
    return tmp_path


def played(package: Path) -> str:
    """outer(1) in a process of its own, and how often it was found in the cache."""
    done = subprocess.run([sys.executable, "-c", PLAY], capture_output=True, text=True, check=True, cwd=package)
    return done.stdout.strip()


def test_an_edit_in_one_file_recompiles_its_callers_in_others_and_nothing_else_does(package: Path) -> None:
    assert played(package) == "20 0"
    assert played(package) == "20 1", "the second process compiles nothing"
    (package / "inner.py").write_text(INNER.replace("+ 1", "+ 2"), encoding="utf-8")
    assert played(package) == "30 0"
    (package / "note.py").write_text("nothing = 'compiled'\n", encoding="utf-8")
    assert played(package) == "30 1"
    (package / "inner.py").write_text(INNER, encoding="utf-8")
    assert played(package) == "20 1", "what was compiled of the old text is still there"


def test_the_fingerprint_covers_every_file_with_compiled_functions(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "__file__", str(package / "compiled.py"))

    def now() -> str:
        return fingerprint.__wrapped__()

    seen = [now()]
    (package / "deep").mkdir()
    (package / "deep" / "kernel.py").write_text(INNER, encoding="utf-8")
    seen.append(now())
    (package / "deep" / "kernel.py").write_text(INNER + "\n", encoding="utf-8")
    seen.append(now())
    assert len(set(seen)) == 3
    (package / "deep" / "plain.py").write_text("x = 1\n", encoding="utf-8")
    assert now() == seen[-1], "only files with compiled functions count"


def test_the_packages_fingerprint_is_the_hash_of_its_kernels() -> None:
    kernels = [file for file in sorted(HOME.rglob("*.py")) if "@compiled" in file.read_text(encoding="utf-8")]
    assert {"noise.py", "simulator.py", "calibrated_step.py"} <= {file.name for file in kernels}
    assert fingerprint() == hashlib.sha256(b"".join(file.read_bytes() for file in kernels)).hexdigest()


def test_nothing_is_compiled_in_another_way() -> None:
    """A plain `njit(cache=True)` would not see edits in the functions that it calls."""
    root = HOME.parent
    for folder in ("recgym", "envs", "agents", "experiments"):
        for file in (root / folder).rglob("*.py"):
            if file != HOME / "compiled.py":
                text = file.read_text(encoding="utf-8")
                assert "njit" not in text, file
                assert "import numba" not in text, file
                assert "from numba" not in text, file


@compiled(inline="always")
def _twice(x: float) -> float:
    return 2 * x


@compiled
def _sum_of_twice(x: np.ndarray) -> float:
    total = 0.0
    for value in x:
        total += _twice(value)
    return total


def test_both_ways_to_write_it() -> None:
    assert _sum_of_twice(np.array([1.0, 2.5])) == 7
    assert _twice(3) == 6
    assert _sum_of_twice.__name__ == "_sum_of_twice"


def test_without_numba_everything_runs_as_plain_python() -> None:
    code = "from recgym.noise import Noise; import numpy as np; print(Noise.of(np.arange(3), 0).uniform('x').tolist())"
    done = [
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
                       env={**os.environ, "NUMBA_DISABLE_JIT": disabled})
        for disabled in ("0", "1")
    ]  # fmt: skip
    assert done[0].stdout == done[1].stdout
