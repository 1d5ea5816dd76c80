"""Logs for other people's tools: d3rlpy's MDPDataset (offline learning) and Minari data sets (sharing).

Neither package is needed by anything else here; each is imported when its function is called. Both want whole
episodes with observations, as `recgym.rollout.rollout(..., observations=True)` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from recgym.errors import BadData, MissingExtra, WrongSetting
from recgym.interaction_log import InteractionLog
from recgym.rollout import FINAL_OBSERVATION


class _Episodes(NamedTuple):
    """R requests of k items, E whole episodes.

    observation: (R, D) float32. item: (R, k) int64. reward: (R,) float64. terminated: (R,) bool.
    stop: (E,) int64, one past the last request of each episode. truncated: (E,) bool, how each episode ended.
    row: (R,) int64, the first row of each request in the log.
    """

    observation: np.ndarray
    item: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    stop: np.ndarray
    truncated: np.ndarray
    row: np.ndarray

    def spans(self) -> Iterator[tuple[int, slice]]:
        """Number and requests of each episode."""
        start = 0
        for number, stop in enumerate(self.stop.tolist()):
            yield number, slice(start, stop)
            start = stop


def to_d3rlpy(log: InteractionLog, n_items: int, *, keep_last: bool = True) -> Any:
    """The log as a `d3rlpy.dataset.MDPDataset` with discrete actions: the item shown at each request.

    The number of actions is that of the catalogue, not of the items that happen to occur. d3rlpy keeps no observation
    after the last request, so that an episode that was truncated would lose its last transition. With `keep_last`
    such an episode gets one more row: the observation after its last request, with the last item again and reward
    0. It completes the last transition and begins none; algorithms on whole trajectories (decision transformers)
    see it as a step, and may want `keep_last=False`.

    Args:
        log: whole episodes of slates of one item, with `observation`, `reward`, `terminated` and `truncated`.
        n_items: N, the number of items in the catalogue.
        keep_last: see above.

    Raises:
        MissingExtra: d3rlpy is not installed.
        BadData: a column is missing, an episode has no end, or a truncated one lacks its final observation.
        WrongSetting: slates of several items (d3rlpy has no actions for them), or items beyond `n_items`.
    """
    dataset, constants = _package("d3rlpy.dataset", "train"), _package("d3rlpy.constants", "train")
    episodes = _episodes(log, n_items)
    if episodes.item.shape[1] > 1:
        raise WrongSetting(
            f"slates of {episodes.item.shape[1]} items came; d3rlpy's discrete actions are single items. Use "
            "to_minari, or log a world with slate_size=1."
        )
    timeout = np.zeros(len(episodes.reward), np.bool_)
    timeout[episodes.stop - 1] = episodes.truncated
    observation, item, reward = episodes.observation, episodes.item, episodes.reward.astype(np.float32)
    terminal = episodes.terminated
    if keep_last and episodes.truncated.any():
        cut = np.flatnonzero(episodes.truncated)
        after = episodes.stop[cut]
        observation = np.insert(observation, after, _final_observations(log, episodes, cut), axis=0)
        item, reward = np.insert(item, after, item[after - 1], axis=0), np.insert(reward, after, 0.0)
        terminal = np.insert(terminal, after, False)
        timeout[after - 1] = False
        timeout = np.insert(timeout, after, True)
    return dataset.MDPDataset(
        observation, item, reward, terminal.astype(np.float32), timeout.astype(np.float32),
        action_space=constants.ActionSpace.DISCRETE, action_size=n_items,
    )  # fmt: skip


def to_minari(log: InteractionLog, n_items: int, dataset_id: str, *, data_format: str = "hdf5", **about: Any) -> Any:
    """The log as a Minari data set, written to Minari's folder (environment variable MINARI_DATASETS_PATH).

    Actions are the items: Discrete(n_items), or MultiDiscrete for slates. The infos hold watch time and feedbacks,
    (T + 1,) or for slates (T + 1, k), and costs (T + 1,), where T is the number of requests; entry 0 belongs to the
    reset and is zero, as in Minari's own collector. Meant for small sets: the log itself, in Parquet, is several times
    smaller and fifty times faster.

    Args:
        log: whole episodes with `observation`, `extra_final_observation`, `reward`, `terminated` and `truncated`.
        n_items: N, the number of items in the catalogue.
        dataset_id: name and version, "recgym/short-video/random-v0".
        data_format: of the files, see Minari.
        about: further facts for `minari.create_dataset_from_buffers` (author, algorithm_name, description, env, ...).

    Returns:
        A `minari.MinariDataset`.

    Raises:
        MissingExtra: Minari (or h5py, for the format hdf5) is not installed.
        BadData: a column is missing, an episode has no end or lacks its final observation.
        WrongSetting: items beyond `n_items`.
    """
    minari, collector = _package("minari", "minari"), _package("minari.data_collector", "minari")
    if data_format == "hdf5":
        _package("h5py", "minari")
    episodes = _episodes(log, n_items)
    final = _final_observations(log, episodes, np.arange(len(episodes.stop)))
    infos = _infos(log, episodes)
    k = episodes.item.shape[1]
    seed = log.array("seed")[episodes.row] if "seed" in log.table.columns else None
    buffers = [
        collector.EpisodeBuffer(
            id=number,
            seed=None if seed is None else int(seed[span.start]),
            observations=np.concatenate([episodes.observation[span], final[number][None]]),
            actions=episodes.item[span] if k > 1 else episodes.item[span, 0],
            rewards=list(episodes.reward[span]),
            terminations=list(episodes.terminated[span]),
            truncations=[False] * (span.stop - span.start - 1) + [bool(episodes.truncated[number])],
            infos={name: _after_reset(column[span]) for name, column in infos.items()},
        )
        for number, span in episodes.spans()
    ]
    about.setdefault("description", "; ".join(f"{key}: {value}" for key, value in log.source.items()))
    return minari.create_dataset_from_buffers(
        dataset_id, buffers, data_format=data_format,
        observation_space=spaces.Box(-np.inf, np.inf, (episodes.observation.shape[1],), np.float32),
        action_space=spaces.Discrete(n_items) if k == 1 else spaces.MultiDiscrete(np.full(k, n_items)), **about,
    )  # fmt: skip


def _package(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"an export needs {module.partition('.')[0]}, which cannot be imported ({error}); "
            f"install it with: pip install 'recgym[{extra}]'"
        ) from error


def _episodes(log: InteractionLog, n_items: int) -> _Episodes:
    start, stop = log.requests()
    size = stop - start
    if not len(size) or (size != size[0]).any():
        raise BadData(
            f"requests of {sorted(set(size.tolist()))} items came; an export needs at least one request and slates of "
            "one size. Were single rows filtered out?"
        )
    item = log.array("item").astype(np.int64).reshape(-1, size[0])
    if item.max() >= n_items:
        raise WrongSetting(f"the log shows item {item.max()}, but n_items is {n_items}; give the catalogue's length.")
    terminated, truncated = log.array("terminated")[start], log.array("truncated")[start]
    ends = terminated | truncated
    if not ends[-1]:
        raise BadData("the last episode of the log has no end; an export needs whole episodes. See recgym.rollout.")
    at = np.flatnonzero(ends) + 1
    cut = truncated[at - 1] & ~terminated[at - 1]
    return _Episodes(log.observations()[start], item, log.array("reward")[start], terminated, at, cut, start)


def _final_observations(log: InteractionLog, episodes: _Episodes, number: np.ndarray) -> np.ndarray:
    """(len(number), D) float32: what would have been observed after the last request of some episodes."""
    if FINAL_OBSERVATION not in log.table.columns:
        raise BadData(
            f"the log has no column {FINAL_OBSERVATION!r}, which the last transition needs; make the log with "
            "recgym.rollout.rollout(..., observations=True)."
        )
    row = episodes.row[episodes.stop[number] - 1]
    final = log.table[FINAL_OBSERVATION].gather(row)
    width = episodes.observation.shape[1]
    wrong = (final.list.len() != width).fill_null(True)
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        raise BadData(
            f"row {row[at]} ends an episode, but its {FINAL_OBSERVATION} is {final[at]}; {width} numbers are needed."
        )
    return final.list.to_array(width).to_numpy()


def _infos(log: InteractionLog, episodes: _Episodes) -> dict[str, np.ndarray]:
    """Per request: (R, k) for watch time and feedbacks of each item (slates of one: (R,)), (R,) for costs."""
    shape = episodes.item.shape if episodes.item.shape[1] > 1 else (len(episodes.item),)
    infos = {name: log.array(name).reshape(shape) for name in ("watch_time_s", *log.feedback)}
    costs = [name for name in log.table.columns if name.startswith("cost_")]
    return infos | {name: log.array(name)[episodes.row] for name in costs}


def _after_reset(column: np.ndarray) -> np.ndarray:
    """The column with a zero row before it, which stands for the reset."""
    return np.concatenate([np.zeros_like(column[:1]), column])
