"""The command line: help, lists, clean errors, light imports, and every command once for real."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gymnasium
import pytest

from recgym.errors import UnknownName, WrongSetting
from recgym.interaction_log import InteractionLog
from recgym_experiments.agent_settings import parse_overrides, plain
from recgym_experiments.command_line import COMMANDS, main
from recgym_experiments.flags import peek


def run(*words: str) -> int:
    """Exit code of the command line in this process."""
    try:
        main(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def two_item_width() -> int:
    """Length of the flat observation of TwoItem."""
    return int(gymnasium.make("recgym:recgym/TwoItem-v0").observation_space.shape[0])  # type: ignore[index]


@pytest.mark.parametrize("words", [[], ["--help"], ["worlds"], ["compare", "--help"], ["simulate", "--help"]])
def test_what_only_informs_imports_no_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom recgym_experiments.command_line import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'ray' not in sys.modules, 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "recgym" in shown
    if command != "run":
        assert COMMANDS[command].example in shown


def test_the_top_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    shown = capsys.readouterr().out
    assert all(name in shown and command.example in shown for name, command in COMMANDS.items())


def test_worlds_lists_actions_and_observations(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("worlds") == 0
    shown = capsys.readouterr().out
    assert "recgym/TwoItem-v0" in shown
    assert "2 items" in shown
    assert f"{two_item_width()} numbers" in shown


def test_agents_lists_all_and_the_settings_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agents") == 0
    assert "behaviour_cloning" in capsys.readouterr().out
    assert run("agents", "logging") == 0
    shown = capsys.readouterr().out
    assert "logging.epsilon" in shown
    assert "uniformly" in shown, "the text under the field is its explanation"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compar"], "Did you mean 'compare'?"),
        (["fit", "kuairant", "."], "Did you mean 'kuairand'?"),
        (["fit", "kuairand", "/nowhere", "--out", "x"], "/nowhere: no such folder"),
        (["run", "online_comparisn"], "Did you mean 'online_comparison'?"),
        (["agents", "pppo"], "Did you mean 'ppo'?"),
        (["simulate", "--world", "recgym/ShortVide-v0"], "Did you mean 'recgym/ShortVideo-v0'?"),
        (["simulate", "--agent", "popularity"], "--checkpoint"),
        (["simulate", "--set", "logging.epsilom=1"], "Did you mean 'epsilon'?"),
        (["simulate", "--set", "logging.epsilon=much"], "'much' is not a number"),
        (["fidelity", "default", "--log", "x"], "leave out --log"),
        (["fidelity", "runs/nowhere"], "--log FOLDER"),
    ],
)
def test_a_mistake_is_one_red_line_and_exit_code_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert said.count("\n") == 1


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("simulate", "--agent", "popularity", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["simulate", "--sessions", "0"], "at least 1"), (["compare", "--seeds", "0"], "between 1 and")],
)
def test_an_impossible_value_is_refused(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_an_unknown_flag_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "--sedes", "3") == 2
    assert "--seeds" in "".join(capsys.readouterr())


def test_simulate_writes_the_same_log_twice(tmp_path: Path) -> None:
    logs = []
    for name in ("a.parquet", "b.parquet"):
        words = ["--world", "recgym/TwoItem-v0", "--agent", "random", "--sessions", "7", "--seed", "3"]
        assert run("simulate", *words, "--out", str(tmp_path / name)) == 0
        logs.append(InteractionLog.load(tmp_path / name))
    assert logs[0].table.equals(logs[1].table)
    assert sorted(set(logs[0].array("seed").tolist())) == list(range(3, 10))
    assert "observation" not in logs[0].table.columns


def test_simulate_keeps_observations_when_asked(tmp_path: Path) -> None:
    words = ["--world", "recgym/TwoItem-v0", "--sessions", "2", "--observations"]
    assert run("simulate", *words, "--out", str(tmp_path / "log.parquet")) == 0
    assert InteractionLog.load(tmp_path / "log.parquet").observations().shape[1] == two_item_width()


@dataclass(frozen=True)
class Example:
    """Settings of every kind."""

    steps: int = 1
    rate: float = 0.5
    big: bool = False
    kind: Literal["a", "b"] = "a"
    hidden: tuple[int, ...] = (64,)
    limit: float | None = None
    name: str = "x"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps=50000", 50000), ("steps=5e4", 50000), ("rate=1", 1.0), ("rate=1e-3", 0.001), ("big=true", True),
        ("big=No", False), ("kind=b", "b"), ("hidden=256,128", (256, 128)), ("hidden=(8,)", (8,)), ("limit=none", None),
        ("limit=0.2", 0.2), ("name=a=b", "a=b"),
    ],
)  # fmt: skip
def test_settings_get_the_type_of_their_field(text: str, value: object) -> None:
    found = parse_overrides([f"x.{text}"], {"x": Example})["x"]
    assert list(found.values()) == [value]
    assert type(next(iter(found.values()))) is type(value)


@pytest.mark.parametrize(
    "text", ["x.steps=1.5", "x.steps=inf", "x.big=maybe", "x.kind=c", "x.hidden=a", "x.limit=no", "x", "x.steps", "=1"]
)
def test_settings_of_the_wrong_type_are_refused(text: str) -> None:
    with pytest.raises(WrongSetting, match="--set"):
        parse_overrides([text], {"x": Example})


def test_settings_of_an_agent_that_does_not_take_part_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ppo'"):
        parse_overrides(["pppo.steps=1"], {"ppo": Example})


def test_of_two_values_the_later_one_counts() -> None:
    assert parse_overrides(["x.steps=1", "x.steps=2"], {"x": Example}) == {"x": {"steps": 2}}


def test_plain_gives_json_values() -> None:
    assert plain({1: (Path("a"), None, {"b": 2.5})}) == {"1": ["a", None, {"b": 2.5}]}


def test_peek_reads_a_flag_in_both_forms_and_the_last_one_counts() -> None:
    assert peek(["--preset", "demo"], "--preset", "full") == "demo"
    assert peek(["--preset=demo", "--preset=quick"], "--preset", "full") == "quick"
    assert peek(["--preset"], "--preset", "full") == ""
    assert peek([], "--preset", "full") == "full"
