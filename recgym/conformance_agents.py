"""`check_agent`: whether an agent and its policy keep the rules that rollouts, logs and comparisons build on."""

from __future__ import annotations

import ast
import inspect
import json
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recgym.conformance import Leaves, NotConforming, difference, global_chance, require, rows_of, untouched_chance
from recgym.conformance_files import check_saved_files
from recgym.conformance_policies import check_probabilities, inspect_policy, play, random_log
from recgym.errors import WrongSetting
from recgym.interaction_log import InteractionLog
from recgym.policy import Policy
from recgym.simulator import Simulator


def check_agent(
    agent_class: type[Any],
    simulator: Simulator,
    log: InteractionLog | None = None,
    *,
    settings: Any = None,
    n: int = 24,
    steps: int = 6,
    seed: int = 0,
) -> None:
    """Check that an agent keeps the rules of `recgym.policy.Agent`; returns nothing if it does.

    Checked, before and after learning: choices are (n, k) int32, distinct within a row, and candidates; `log_prob` is
    at most 0, or NaN; calls are pure and chance comes from draws called "policy ..."; n rows together equal a third of
    them, all of them reversed and each of three alone, bit for bit; `log_prob` agrees with how often each slate is
    chosen. Also: settings are a frozen dataclass with a default and a sentence for each field; losses are named
    numbers; same log and seed, same policy; the log is left as it was; the global generators are neither moved nor
    read; what is saved is JSON and safetensors, and loads into an agent of the same choices.

    Args:
        agent_class: the class, called as agent_class(settings, simulator).
        simulator: a world; small catalogues (a dozen items) show wrong probabilities best.
        log: what to learn from; None = sessions of a uniformly random policy, with observations, where it is needed.
        settings: an `agent_class.Settings`, at best one that learns for a second; None = the defaults.
        n: users in a batch, at least 6.
        steps: steps of each session.
        seed: chooses users, luck and the seed of learning.

    Raises:
        NotConforming: a rule was broken; `.rule` names it, the message says what was seen at which step and row.
    """
    _check_settings(agent_class)
    settings = agent_class.Settings() if settings is None else settings
    learns_from = getattr(agent_class, "learns_from", None)
    require(
        learns_from in ("nothing", "log", "simulator"), "protocol of agents", f"learns_from is {learns_from!r}",
        'One of "nothing", "log" and "simulator" is needed.',
    )  # fmt: skip
    seeds = seed + np.arange(max(n, 6))
    with untouched_chance(f"making a {agent_class.__name__}"):
        agent = agent_class(settings, simulator)
    _check_policy(agent.policy, simulator, seeds, steps, "before learning")
    if learns_from == "log":
        log = random_log(simulator, seed) if log is None else log
        _check_needs_log(agent, seed)
    with global_chance(1):
        _learn(agent, log, seed)
    _check_policy(agent.policy, simulator, seeds, steps, "after learning")
    learned = play(agent.policy, simulator, seeds, steps)
    again = agent_class(settings, simulator)
    with global_chance(2):
        _learn(again, log, seed)
    advice = "Take all chance of learning from the seed: networks' first weights, batches, exploration."
    relearned = play(again.policy, simulator, seeds, steps)
    _same_choices(learned, relearned, "same seed, same policy", "two agents that learned alike", advice)
    _check_saving(agent, agent_class, simulator, seeds, steps, learned)


def _check_settings(agent_class: type[Any]) -> None:
    kind = getattr(agent_class, "Settings", None)
    require(
        isinstance(kind, type) and is_dataclass(kind) and kind.__dataclass_params__.frozen,  # type: ignore[attr-defined]
        "settings are documented", f"{agent_class.__name__}.Settings is {kind!r}", "A frozen dataclass is needed.",
    )  # fmt: skip
    assert kind is not None
    sentences = _documented_fields(kind)
    for part in fields(kind):
        require(
            part.default is not MISSING or part.default_factory is not MISSING, "settings are documented",
            f"{kind.__qualname__}.{part.name} has no default", "Every setting has a default.",
        )  # fmt: skip
        require(
            part.name in sentences, "settings are documented",
            f"{kind.__qualname__}.{part.name} has no sentence under it",
            "Write a docstring under each field; the command line shows it as its help.",
        )  # fmt: skip
    try:
        json.dumps(asdict(kind()), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NotConforming("settings are documented", f"the defaults of {kind.__qualname__} are not JSON ({error})",
                            "Settings are numbers, texts, tuples and None.") from error  # fmt: skip


def _documented_fields(kind: type) -> set[str]:
    """Names of the fields, those of parents included, that are followed by a text."""
    named = set()
    for part in kind.__mro__:
        if not is_dataclass(part):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for line, after in zip(tree.body, tree.body[1:], strict=False):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(text, str):
                named.add(line.target.id)
    return named


def _check_policy(policy: Policy, simulator: Simulator, seeds: np.ndarray, steps: int, when: str) -> None:
    inspect_policy(policy, simulator, seeds, steps, when)
    with global_chance(1):
        whole = play(policy, simulator, seeds, steps)
    n = len(seeds)
    groups = {"the same rows a second time": np.arange(n), "all rows reversed": np.arange(n)[::-1]}
    groups |= {"a third of the rows": np.arange(0, n, 3)}
    groups |= {f"row {row} alone": np.array([row]) for row in (0, n // 2, n - 1)}
    for name, rows in groups.items():
        with global_chance(2):
            part = play(policy, simulator, seeds[rows], steps)
        again = name.endswith("time")
        rule = "same call, same answer" if again else "row i belongs to user i"
        _same_choices(
            [rows_of(step, rows) for step in whole], part, rule, f"{when}, {n} rows together and {name}",
            "Keep memory in `Memory` and take chance from `noise`." if again else
            "Row i of a choice may read row i only; matrix products differ in their last digits with the batch: "
            "evaluate networks in blocks of one fixed size, the last one padded.",
        )  # fmt: skip
    check_probabilities(policy, simulator, int(seeds[0]), when)


def _same_choices(one: list[Leaves], other: list[Leaves], rule: str, what: str, advice: str) -> None:
    for step, (left, right) in enumerate(zip(one, other, strict=True)):
        apart = difference(left, right)
        require(apart is None, rule, f"{what} differ at step {step}: {apart}", advice)


def _check_needs_log(agent: Any, seed: int) -> None:
    try:
        agent.learn(None, seed)
    except WrongSetting:
        return
    except Exception as error:
        raise NotConforming("learning", f"learn without a log gave {type(error).__name__}: {error}",
                            "An agent that learns from a log raises WrongSetting without one.") from error  # fmt: skip
    raise NotConforming("learning", "learn worked without a log", 'Then `learns_from` is not "log".')


def _learn(agent: Any, log: InteractionLog | None, seed: int) -> None:
    """Learn once; the report is called with rising numbers of steps, losses are named numbers, the log stays."""
    before = None if log is None else log.table.clone()
    reported = [0]

    def report(step: int, scalars: Mapping[str, float]) -> None:
        require(
            step >= reported[-1] and all(isinstance(name, str) for name in scalars), "learning",
            f"report was called with {step} after {reported[-1]}, and {scalars!r}",
            "Report the number of steps so far, never falling, and named numbers.",
        )  # fmt: skip
        reported.append(step)

    with untouched_chance("learn"):
        losses = agent.learn(log, seed, report)
    good = isinstance(losses, Mapping) and all(
        isinstance(name, str) and np.isfinite(float(value)) for name, value in losses.items()
    )
    require(good, "learning", f"learn answered {losses!r}", "A dictionary of named finite numbers is needed.")
    require(
        log is None or before is None or log.table.equals(before, null_equal=True),
        "inputs stay as they are", "learn changed the log",
        "Copy a column before you change it.",
    )  # fmt: skip


def _check_saving(
    agent: Any, agent_class: type[Any], simulator: Simulator, seeds: np.ndarray, steps: int, learned: list[Leaves]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "agent"
        with untouched_chance("save and load"):
            agent.save(folder)
            check_saved_files(folder)
            loaded = agent_class.load(folder, simulator)
    _same_choices(learned, play(loaded.policy, simulator, seeds, steps), "saved and loaded, same choices",
                  "an agent and what was loaded from its files", "Save everything the policy reads.")  # fmt: skip
    _same_choices(learned, play(agent.policy, simulator, seeds, steps), "saved and loaded, same choices",
                  "an agent before and after save", "Saving must change nothing.")  # fmt: skip
