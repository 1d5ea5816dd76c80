"""Every Python example that people read is run, in the order they read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
NO_RUN = "<!-- no-run -->"
FENCE = re.compile(r"^( *)```python[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block of Python: the line on which its code starts, and the code."""

    line: int
    code: str


def blocks(text: str) -> list[Block]:
    """All ```python blocks of a Markdown text, but for those right after a `<!-- no-run -->`."""
    found = []
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        if before.rstrip().endswith(NO_RUN):
            continue
        code = re.sub(f"^{fence[1]}", "", fence[2], flags=re.MULTILINE)
        found.append(Block(before.count("\n") + 2, code))
    return found


def run(path: Path) -> None:
    """Run the blocks of one file in one namespace; tracebacks show the lines of the Markdown file."""
    assert path.is_file(), f"{path.name} does not exist; its examples cannot be run."
    namespace: dict[str, object] = {"__name__": "__readme__"}
    for block in blocks(path.read_text(encoding="utf-8")):
        exec(compile("\n" * (block.line - 1) + block.code, str(path), "exec"), namespace)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the examples train agents")
    monkeypatch.chdir(tmp_path)
    run(ROOT / name)


def test_the_readme_has_examples() -> None:
    path = ROOT / "README.md"
    assert path.is_file(), "README.md does not exist."
    assert blocks(path.read_text(encoding="utf-8"))


def test_blocks_are_found_in_order_with_their_lines() -> None:
    text = (
        "# x\n\n```python\na = 1\n```\n\n```bash\nno\n```\n\n- item\n\n  ```python title\n  b = a\n\n  c = b\n  ```\n"
    )
    assert blocks(text) == [Block(4, "a = 1\n"), Block(14, "b = a\n\nc = b\n")]


def test_a_block_marked_no_run_is_left_out() -> None:
    text = f"{NO_RUN}\n```python\nraise ValueError\n```\ntext\n```python\na = 1\n```\n"
    assert blocks(text) == [Block(7, "a = 1\n")]


def test_an_example_that_fails_shows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.md"
    path.write_text("one\n```python\nx = 1\n```\ntwo\n```python\n\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as caught:
        run(path)
    assert caught.traceback[-1].lineno + 1 == 8
