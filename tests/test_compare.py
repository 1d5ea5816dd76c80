"""The comparison: same users for all, resuming, no mixing of settings, and numbers known beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from rich.console import Console

from recgym.errors import MissingExtra, WrongSetting
from recgym.evaluate import Evaluation
from recgym.interaction_log import InteractionLog
from recgym.noise import Noise
from recgym.observation import Observation
from recgym.policy import Choice, Report
from recgym.simulator import Simulator
from recgym.storage import read_json, write_json
from recgym_agents import AGENTS
from recgym_envs.worlds import make_simulator
from recgym_experiments import EXPERIMENTS
from recgym_experiments import compare as compare_module
from recgym_experiments.cells import EVALUATION_SEED, LOG_SEED, MOST_SESSIONS, differences, whole_folder
from recgym_experiments.compare import PRESETS, Settings, online_comparison, plan, prepare
from recgym_experiments.curves import POINTS, Curves, thinned
from recgym_experiments.fingerprint import fingerprint, world_name
from recgym_experiments.results import per_exposure, survival

pytest.importorskip("torch", reason="agents are kept with the extra `train` only")

QUIET = Console(quiet=True)


class ShowSolid:
    """Shows the solid video of TwoItem, which the profile tells; earns exactly 60 s a session on average."""

    def start(self, n: int) -> tuple[()]:
        return ()

    def act(self, observation: Observation, memory: tuple[()], noise: Noise) -> Choice:
        item = observation.profile.argmax(axis=1).astype(np.int32)[:, None]
        return Choice(item, np.zeros(len(item)), memory)


@dataclass(frozen=True)
class StubSettings:
    """Settings of the stub."""

    steps: int = 3
    """Steps."""
    broken_at_seed: int = -1
    """Seed at which learning is interrupted."""


class Stub:
    """Learns nothing but counts how often it was asked to."""

    Settings: ClassVar[type] = StubSettings
    learns_from: ClassVar[Literal["nothing", "log", "simulator"]] = "log"
    label: ClassVar[str] = "stub agent"
    learned: ClassVar[list[int]] = []

    def __init__(self, settings: StubSettings, simulator: Simulator) -> None:
        self.settings, self.policy = settings, ShowSolid()

    def learn(self, log: InteractionLog | None, seed: int, report: Report | None = None) -> Mapping[str, float]:
        assert log is not None
        assert log.source["log_policy"] == "logging"
        assert np.isfinite(log.observations()).all()
        self.learned.append(seed)
        if seed == self.settings.broken_at_seed:
            raise KeyboardInterrupt
        for step in range(self.settings.steps):
            assert report is not None
            report(step, {"train/loss": 1.0 / (step + 1), "odd": float("nan")})
        return {"loss": float("nan")}

    def save(self, folder: Path) -> None:
        write_json(folder / "stub.json", {})


@pytest.fixture(autouse=True)
def _stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the stub agent for one test."""
    monkeypatch.setitem(AGENTS._entries, "stub", Stub)
    Stub.learned.clear()


def settings(out: Path, **changes: Any) -> Settings:
    start = Settings(
        preset="quick", world="recgym/TwoItem-v0", agents=("stub",), seeds=2, eval_users=40, train_sessions=5, out=out
    )
    return replace(start, **changes)


def run(chosen: Settings) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = read_json(online_comparison(chosen, QUIET) / "results.json")
    return results


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_known_policies_get_their_known_values(tmp_path: Path) -> None:
    results = {record["name"]: record for record in run(settings(tmp_path, eval_users=1500))}
    assert list(results) == ["random", "popularity", "oracle", "stub"]
    solid, greedy = results["stub"]["metrics"]["watch_time_s"], results["oracle"]["metrics"]["watch_time_s"]
    assert solid["mean"] == pytest.approx(60, abs=4 * 57 / 1500**0.5), "geometric sessions of 10 steps of 6 s"
    assert greedy["mean"] == pytest.approx(20, abs=4 * 14.2 / 1500**0.5), "greed: the catchy video, 2 steps of 10 s"
    assert solid["low"] < solid["mean"] < solid["high"]
    paired = results["stub"]["minus_random"]["watch_time_s"]
    difference = solid["mean"] - results["random"]["metrics"]["watch_time_s"]["mean"]
    assert paired["mean"] == pytest.approx(difference)
    assert paired["low"] > 0
    assert results["stub"]["better_than_random"]["watch_time_s"]["mean"] > 0.5
    like = results["stub"]["metrics"]["like_per_exposure"]
    assert like["mean"] == pytest.approx(0.3, abs=4 * 0.46 / 15000**0.5)


def test_every_file_is_written(tmp_path: Path) -> None:
    run(settings(tmp_path))
    there = set(files(tmp_path))
    assert {"results.json", "table.md", "report.html", "comparison.json", "logs/seed_0.parquet"} <= there
    for seed in (0, 1):
        cell = f"agents/stub/seed_{seed}"
        assert {f"{cell}/agent/stub.json", f"{cell}/outcome.json", f"{cell}/settings.json"} <= there
        assert any(name.startswith(f"tensorboard/stub/seed_{seed}/") for name in there)
    assert not [name for name in there if "partial" in name]


def test_results_are_strict_json_and_say_where_they_come_from(tmp_path: Path) -> None:
    run(settings(tmp_path))
    text = (tmp_path / "results.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    stub = json.loads(text, parse_constant=refuse)[-1]
    assert stub["training"]["losses"] == {"loss": None}
    assert stub["world"].startswith("recgym/TwoItem-v0@")
    assert stub["config"]["agent"] == {"steps": 3, "broken_at_seed": -1}
    assert {"commit", "numpy", "processor", "command", "when"} <= set(stub["provenance"])
    assert stub["learning_curves"][0] == {
        "seed": 0,
        "metric": "train/loss",
        "steps": [0, 1, 2],
        "value": [1, 0.5, 1 / 3],
    }


def test_few_seeds_are_labelled(tmp_path: Path) -> None:
    by_seeds = {n: run(settings(tmp_path, seeds=n))[-1]["seeds_note"] for n in (1, 2, 5)}
    assert by_seeds == {1: "single run", 2: "2 seeds", 5: ""}
    assert run(settings(tmp_path, seeds=1))[0]["seeds_note"] == "", "random does not learn: its one row is complete"
    assert "stub agent (2 seeds)" not in (tmp_path / "table.md").read_text()


def test_more_seeds_and_agents_only_add_cells(tmp_path: Path) -> None:
    run(settings(tmp_path, seeds=1))
    assert Stub.learned == [0]
    run(settings(tmp_path, seeds=3))
    assert Stub.learned == [0, 1, 2]
    names = [record["name"] for record in run(settings(tmp_path, seeds=3, agents=("stub", "random")))]
    assert names == ["random", "popularity", "oracle", "stub"]
    assert Stub.learned == [0, 1, 2]


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(settings(whole))
    Stub.learned.clear()
    changed = {"overrides": (("stub.broken_at_seed=1",),)}
    with pytest.raises(KeyboardInterrupt):
        run(settings(parts, **changed))
    assert not (parts / "agents" / "stub" / "seed_1").exists()
    assert (parts / "agents" / "stub" / "seed_0").exists()
    wanted = read_json(parts / "agents" / "stub" / "seed_0" / "settings.json")
    wanted["settings"]["broken_at_seed"] = -1
    write_json(parts / "agents" / "stub" / "seed_0" / "settings.json", wanted)
    Stub.learned.clear()
    run(settings(parts))
    assert Stub.learned == [1], "the finished cell is not learned again"
    ours, theirs = (read_json(folder / "results.json")[-1]["metrics"] for folder in (whole, parts))
    assert ours == theirs


def test_a_second_run_changes_nothing_that_was_learned(tmp_path: Path) -> None:
    run(settings(tmp_path))
    before = files(tmp_path / "agents")
    run(settings(tmp_path))
    assert Stub.learned == [0, 1]
    assert files(tmp_path / "agents") == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"overrides": (("stub.steps=4",),)}, "settings.steps was 3, now 4"),
        ({"eval_users": 41}, "evaluation.users was 40, now 41"),
        ({"train_sessions": 6}, "log.sessions was 5, now 6"),
        ({"max_steps": 20}, "world was 'recgym/TwoItem-v0@"),
        ({"limits": {"hate": 0.1}}, "world was 'recgym/TwoItem-v0@"),
    ],
)
def test_other_settings_are_not_mixed_and_fresh_starts_over(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    run(settings(tmp_path, seeds=1))
    with pytest.raises(WrongSetting, match=r"--fresh") as caught:
        run(settings(tmp_path, seeds=1, **changes))
    assert named in str(caught.value)
    assert Stub.learned == [0], "nothing was learned before the refusal"
    run(settings(tmp_path, seeds=1, fresh=True, **changes))
    assert Stub.learned == [0, 0]


def test_a_folder_of_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "mine.py").write_text("precious")
    with pytest.raises(WrongSetting, match="not of a comparison"):
        run(settings(tmp_path, fresh=True))
    assert files(tmp_path) == {"agents/mine.py": b"precious"}


def test_half_written_cells_are_removed(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    prepare(chosen)
    half = tmp_path / "agents" / "stub" / ".seed_0.123.partial"
    half.mkdir(parents=True)
    prepare(chosen)
    assert not half.exists()


def test_users_without_expectations_have_no_oracle_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = make_simulator("recgym/TwoItem-v0")

    class Mute:
        """The same users, who cannot say what to expect of them."""

        feedback, n_users = simulator.users.feedback, simulator.users.n_users
        start, observe = simulator.users.start, simulator.users.observe
        respond, change = simulator.users.respond, simulator.users.change

    monkeypatch.setattr(compare_module, "world_of", lambda chosen: replace(simulator, users=Mute()))
    assert [record["name"] for record in run(settings(tmp_path, seeds=1))] == ["random", "popularity", "stub"]


def test_costs_are_judged_by_their_limits(tmp_path: Path) -> None:
    costs = run(settings(tmp_path, seeds=1, limits={"hate": 0.2, "early_exit": 0.01}))[0]["costs"]
    assert costs["hate"]["per"] == "exposure"
    assert costs["early_exit"]["per"] == "visit"
    assert costs["hate"]["within"] is True, "one exposure in two is of the catchy video, which 0.2 hate: about 0.1"
    assert costs["early_exit"]["within"] is False, "most leave within 10 exposures"
    assert costs["skip"]["limit"] is None
    assert costs["skip"]["within"] is None


def test_nobody_is_both_logged_and_evaluated() -> None:
    most_seeds = 1000
    assert EVALUATION_SEED + MOST_SESSIONS <= LOG_SEED
    assert LOG_SEED + most_seeds * MOST_SESSIONS < 1 << 40, "training seeds of the learners begin there"


def test_the_plan_has_one_cell_for_those_who_learn_nothing(tmp_path: Path) -> None:
    chosen = settings(tmp_path, seeds=3)
    conditions = compare_module.conditions_of(chosen, compare_module.world_of(chosen))
    cells = [(cell.agent, cell.seed) for cell in plan(chosen, conditions, QUIET)]
    assert cells == [
        ("random", 0), ("popularity", 0), ("oracle", 0), ("stub", 0),
        ("popularity", 1), ("stub", 1), ("popularity", 2), ("stub", 2),
    ]  # fmt: skip


def test_rates_are_those_of_all_exposures_together() -> None:
    per_user = {"depth": np.array([[1.0, 3.0]]), "visits": np.array([[1.0, 1.0]]), "like": np.array([[1.0, 1.0]]),
                "like_rate": np.array([[1.0, 1 / 3]])}  # fmt: skip
    rate = per_exposure(per_user)["like_per_exposure"]
    assert rate.mean() == pytest.approx(2 / 4), "not the mean of 1 and 1/3"


def test_rates_of_users_who_are_all_alike_have_no_spread() -> None:
    depth = np.array([[2.0, 4.0, 8.0]])
    rates = per_exposure({"depth": depth, "visits": depth, "like": depth / 2, "like_rate": depth * 0 + 0.5})
    np.testing.assert_allclose(rates["like_per_exposure"], 0.5)


def test_survival_is_the_share_of_longer_sessions() -> None:
    assert survival(np.array([[1.0, 2.0, 2.0, 4.0]])) == {
        "depth": [0, 1, 2, 3, 4],
        "share": [1.0, 0.75, 0.25, 0.25, 0.0],
    }


def test_curves_are_thinned_with_their_ends_kept() -> None:
    points = [(i, float(i)) for i in range(1000)]
    assert len(thinned(points)) == POINTS
    assert thinned(points)[0] == points[0]
    assert thinned(points)[-1] == points[-1]
    assert thinned(points[:5]) == points[:5]


def test_curves_leave_out_what_is_no_number_and_name_groups(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "events")
    curves.add(1, {"loss": 2.0, "train/x": float("inf")})
    curves.add(2, {"evaluation/watch_time_s": 3.0})
    curves.close()
    assert curves.points == {"train/loss": [(1, 2.0)], "evaluation/watch_time_s": [(2, 3.0)]}
    assert curves.learning() == {"metric": "train/loss", "steps": [1], "value": [2.0]}
    assert list((tmp_path / "events").glob("events.out.tfevents.*"))


def test_tensorboard_reads_the_event_files(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(settings(tmp_path, seeds=1))
    found = reader.EventAccumulator(str(tmp_path / "tensorboard" / "stub" / "seed_0"))
    found.Reload()
    assert [round(event.value, 3) for event in found.Scalars("train/loss")] == [1.0, 0.5, 0.333]
    assert found.Scalars("evaluation/watch_time_s")[0].step == 2


def test_a_world_has_one_name_and_another_with_any_change() -> None:
    base = make_simulator("recgym/TwoItem-v0")
    assert world_name("w", base) == world_name("w", make_simulator("recgym/TwoItem-v0"))
    longer = base.catalog.duration_s + np.float32(1e-3)
    others = [
        replace(base, max_steps=499),
        replace(base, objective=replace(base.objective, limits={"hate": 0.1})),
        replace(base, catalog=replace(base.catalog, duration_s=longer)),
    ]
    names = {world_name("w", world) for world in [base, *others]}
    assert len(names) == 4


def test_fingerprints_see_content_and_not_order_or_caches() -> None:
    catalog = make_simulator("recgym/TwoItem-v0").catalog
    before = fingerprint(catalog)
    assert catalog.vector_columns is not None
    assert fingerprint(catalog) == before
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) != fingerprint([12])
    assert fingerprint(np.zeros(2, np.float32)) != fingerprint(np.zeros(2, np.float64))
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.0})
    loop: list[Any] = []
    loop.append(loop)
    assert len(fingerprint(loop)) == 12


def test_differences_name_the_place() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}) == [
        "a.c was 2, now 3", "a.d was 'absent', now 4",
    ]  # fmt: skip
    assert differences({"a": None}, {"a": {"b": 1}}) == ["a was None, now {'b': 1}"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "cell"

    def interrupted() -> None:
        with whole_folder(target) as partial:
            (partial / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with whole_folder(target) as partial:
        (partial / "a").write_text("whole")
    assert files(tmp_path) == {"cell/a": b"whole"}


def test_the_evaluation_that_is_kept_is_the_one_that_was_made(tmp_path: Path) -> None:
    run(settings(tmp_path, seeds=1))
    kept = Evaluation.load(tmp_path / "agents" / "stub" / "seed_0" / "evaluation")
    assert kept.seed.tolist() == list(range(EVALUATION_SEED, EVALUATION_SEED + 40))
    assert "novelty_bits" in kept.per_user


def test_without_ray_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"recgym\[scale\]"):
        run(settings(tmp_path, ray=True))


@pytest.mark.slow
def test_ray_finds_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    here, there = tmp_path / "here", tmp_path / "there"
    chosen = {"agents": ("behaviour_cloning",), "seeds": 1, "overrides": (("behaviour_cloning.epochs=1",),)}
    run(settings(here, **chosen))
    run(settings(there, ray=True, **chosen))
    ours, theirs = ([record["metrics"] for record in read_json(folder / "results.json")] for folder in (here, there))
    assert ours == theirs
    assert not list(there.rglob("*.partial"))


def test_every_preset_names_real_agents_and_settings() -> None:
    for name, preset in PRESETS.items():
        assert preset.preset == name
        for agent, changed in compare_module.BUDGETS[name].items():
            AGENTS.get(agent).Settings(**changed)
        assert set(preset.agents) <= set(AGENTS.names())


def test_every_experiment_has_settings_with_defaults() -> None:
    from recgym_experiments.flags import settings_of

    for name in EXPERIMENTS.names():
        settings_of(EXPERIMENTS.get(name), "experiment", name)()


def test_the_quick_preset_runs_from_the_command_line(tmp_path: Path) -> None:
    from recgym_experiments.command_line import main

    main(["compare", "--preset", "quick", "--out", str(tmp_path / "quick")])
    labels = [record["name"] for record in read_json(tmp_path / "quick" / "results.json")]
    assert labels[:3] == ["random", "popularity", "oracle"]
    assert len(labels) > 3
