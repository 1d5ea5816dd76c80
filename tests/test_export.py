from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fakes import CountingUsers, InTurn, counting_catalog

from recgym.errors import BadData, MissingExtra, WrongSetting
from recgym.export import to_d3rlpy, to_minari
from recgym.interaction_log import InteractionLog
from recgym.rollout import FINAL_OBSERVATION, rollout
from recgym.session import FixedLength
from recgym.simulator import Simulator

N = 50
"""More items than the catalogue of the fake holds: the exported action space is what we say."""


def played(length: int = 3, max_steps: int = 500, k: int = 1, n_users: int = 4, first: int = 0) -> InteractionLog:
    world = Simulator(
        CountingUsers(), counting_catalog(), session=FixedLength(length), max_steps=max_steps, slate_size=k
    )
    return rollout(InTurn(k, first), world, np.arange(n_users), user=np.arange(n_users), observations=True)


def transitions(dataset: Any) -> list[Any]:
    pick = dataset.transition_picker
    return [pick(episode, i) for episode in dataset.episodes for i in range(episode.transition_count)]


def test_d3rlpy_has_every_transition_of_users_who_left() -> None:
    d3rlpy = pytest.importorskip("d3rlpy")
    log = played(first=2)
    dataset = to_d3rlpy(log, N)
    assert dataset.transition_count == len(log) == 12
    assert dataset.dataset_info.action_size == N, "not one more than the largest item seen"
    assert dataset.dataset_info.action_space == d3rlpy.constants.ActionSpace.DISCRETE
    got = transitions(dataset)
    np.testing.assert_array_equal([t.observation for t in got], log.observations())
    np.testing.assert_array_equal([t.action[0] for t in got], log.array("item"))
    np.testing.assert_array_equal([t.reward[0] for t in got], log.array("reward"))
    assert [t.terminal for t in got] == [0, 0, 1] * 4
    np.testing.assert_array_equal(got[0].next_observation, got[1].observation)


def test_d3rlpy_keeps_the_last_transition_of_truncated_episodes() -> None:
    pytest.importorskip("d3rlpy")
    log = played(length=50, max_steps=3)
    dataset = to_d3rlpy(log, N)
    got = transitions(dataset)
    assert len(got) == len(log) == 12
    assert not any(t.terminal for t in got)
    np.testing.assert_array_equal([t.reward[0] for t in got], log.array("reward"))
    final = np.array(log.table[FINAL_OBSERVATION].drop_nulls().to_list(), np.float32)
    np.testing.assert_array_equal([t.next_observation for t in got[2::3]], final)
    np.testing.assert_array_equal(got[1].next_observation, got[2].observation)
    assert [episode.rewards.sum() for episode in dataset.episodes] == [0 + 1 + 2, 1 + 2 + 3, 2 + 3 + 4, 3 + 4 + 5]
    assert len(transitions(to_d3rlpy(log, N, keep_last=False))) == 8, "what d3rlpy would do by itself"


def test_d3rlpy_mixes_both_ends_without_mistaking_one_for_the_other() -> None:
    pytest.importorskip("d3rlpy")
    log = played(n_users=2) + played(length=50, max_steps=2, n_users=3) + played(n_users=1)
    got = transitions(to_d3rlpy(log, N))
    assert [t.terminal for t in got] == [0, 0, 1] * 2 + [0, 0] * 3 + [0, 0, 1]
    np.testing.assert_array_equal([t.observation for t in got], log.observations())


def test_d3rlpy_learns_from_it() -> None:
    d3rlpy = pytest.importorskip("d3rlpy")
    dataset = to_d3rlpy(played(), N)
    encoder = d3rlpy.models.VectorEncoderFactory(hidden_units=[4])
    algorithm = d3rlpy.algos.DiscreteCQLConfig(batch_size=4, encoder_factory=encoder).create(device=False)
    logger = d3rlpy.logging.NoopAdapterFactory()
    algorithm.fit(dataset, n_steps=1, n_steps_per_epoch=1, logger_adapter=logger, show_progress=False)
    assert algorithm.action_size == N
    assert 0 <= int(algorithm.predict(played().observations()[:1])[0]) < N


def test_d3rlpy_refuses_slates() -> None:
    pytest.importorskip("d3rlpy")
    with pytest.raises(WrongSetting, match=r"slates of 2 items.*to_minari"):
        to_d3rlpy(played(k=2, length=4), N)


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    package = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return package


@pytest.mark.parametrize("truncated", [False, True])
def test_minari_gives_back_what_was_played(minari: Any, truncated: bool) -> None:
    log = played(50, 3) if truncated else played(3)
    to_minari(log, N, "recgym/counting/in-turn-v0", author="a test")
    back = minari.load_dataset("recgym/counting/in-turn-v0")
    assert (back.total_episodes, back.total_steps) == (4, 12)
    assert back.action_space.n == N
    episodes = list(back.iterate_episodes())
    seen = [episode.observations for episode in episodes]
    np.testing.assert_array_equal(np.concatenate([part[:-1] for part in seen]), log.observations())
    final = np.array(log.table[FINAL_OBSERVATION].drop_nulls().to_list(), np.float32)
    np.testing.assert_array_equal([part[-1] for part in seen], final)
    np.testing.assert_array_equal(np.concatenate([e.actions for e in episodes]), log.array("item"))
    np.testing.assert_array_equal(np.concatenate([e.rewards for e in episodes]), log.array("reward"))
    assert [bool(e.terminations[-1]) for e in episodes] == [not truncated] * 4
    assert [bool(e.truncations[-1]) for e in episodes] == [truncated] * 4
    assert [float(w) for w in episodes[1].infos["watch_time_s"]] == [0, 1, 2, 3], "first the reset, then the answers"
    assert [bool(x) for x in episodes[0].infos["cost_hate"]] == [False, True, False, False]


def test_minari_takes_slates(minari: Any) -> None:
    log = played(length=4, k=2)
    dataset = to_minari(log, N, "recgym/counting/slates-v0")
    episode = next(iter(dataset.iterate_episodes()))
    assert episode.actions.tolist() == [[0, 1], [2, 3]]
    assert np.asarray(episode.infos["watch_time_s"]).tolist() == [[0, 0], [0, 1], [2, 3]]
    assert dataset.action_space.nvec.tolist() == [N, N]


def without_final(log: InteractionLog) -> InteractionLog:
    return InteractionLog(log.table.drop(FINAL_OBSERVATION), log.feedback)


def final_is_null(log: InteractionLog) -> InteractionLog:
    empty = pl.lit(None, dtype=pl.List(pl.Float32)).alias(FINAL_OBSERVATION)
    return InteractionLog(log.table.with_columns(empty), log.feedback)


def test_users_who_left_need_no_final_observation_in_d3rlpy() -> None:
    pytest.importorskip("d3rlpy")
    assert to_d3rlpy(without_final(played()), N).transition_count == 12


@pytest.mark.parametrize(
    ("log", "kind", "message"),
    [
        (lambda: without_final(played(50, 3)), BadData, "no column 'extra_final_observation'.*observations=True"),
        (
            lambda: final_is_null(played(50, 3)),
            BadData,
            "row 2 ends an episode, but its extra_final_observation is None",
        ),
        (lambda: played().where(np.arange(12) < 11), BadData, "has no end"),
        (lambda: played().where(np.zeros(12, bool)), BadData, "at least one request"),
        (lambda: played(k=2, length=4).where(np.arange(16) != 3), BadData, r"requests of \[1, 2\] items"),
        (lambda: InteractionLog(played().table.drop("observation"), played().feedback), BadData, "'observation'"),
        (lambda: InteractionLog(played().table.drop("reward"), played().feedback), BadData, "'reward'"),
        (lambda: played(first=5), WrongSetting, "item 7, but n_items is 3"),
    ],
)
def test_logs_that_cannot_be_exported_say_why(log: Any, kind: type, message: str) -> None:
    pytest.importorskip("d3rlpy")
    with pytest.raises(kind, match=message):
        to_d3rlpy(log(), 3)


@pytest.mark.parametrize(
    ("package", "export", "extra"),
    [("d3rlpy", to_d3rlpy, "train"), ("minari", lambda log, n: to_minari(log, n, "x-v0"), "minari")],
)
def test_a_missing_package_names_its_extra(
    package: str, export: Any, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"an export needs {package}.*pip install 'recgym\[{extra}\]'"):
        export(played(), N)
