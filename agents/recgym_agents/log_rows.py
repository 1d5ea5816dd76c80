"""What agents read from an interaction log, checked against the world they were made for."""

from __future__ import annotations

import numpy as np

from recgym.errors import BadData, WrongSetting, unknown_name
from recgym.interaction_log import InteractionLog
from recgym.simulator import Simulator
from recgym_agents.checkpoint import user_width


def checked_log(log: InteractionLog | None, agent: str, simulator: Simulator) -> InteractionLog:
    """The log, if `agent` can learn from it.

    Raises:
        WrongSetting: no log, or one without rows.
        BadData: an item that the catalogue does not have.
    """
    if log is None:
        raise WrongSetting(
            f"{agent} learns from a log and none was given; make one with recgym.rollout or `recgym simulate`, "
            "or load one."
        )
    if not len(log):
        raise WrongSetting(f"{agent} learns from a log, and the one that came has no rows.")
    item = log.array("item")
    if item.max() >= len(simulator.catalog):
        row = int(item.argmax())
        raise BadData(
            f"row {row} of the log: item {item[row]}; this world's catalogue has items "
            f"0..{len(simulator.catalog) - 1}. Log and world must share their catalogue."
        )
    return log


def signal(log: InteractionLog, name: str) -> np.ndarray:
    """(rows,) float64: `watch_time_s`, `reward`, a feedback or a cost of each row; `UnknownName` lists them."""
    known = ["watch_time_s", *log.feedback]
    known += [column for column in log.table.columns if column == "reward" or column.startswith("cost_")]
    if name not in known:
        raise unknown_name("signal of this log", name, known)
    return log.array(name).astype(np.float64)


def user_columns(log: InteractionLog, agent: str, simulator: Simulator) -> np.ndarray:
    """(rows, D) float32: the columns of `observation` that describe the user, without those of candidates.

    Raises:
        WrongSetting: the log keeps no observations, or those of another world.
    """
    if "observation" not in log.table.columns:
        raise WrongSetting(
            f"{agent} needs the column 'observation', which this log lacks; make the log with "
            "rollout(..., observations=True)."
        )
    observation = log.observations()
    width = user_width(simulator)
    per_candidate = simulator.catalog.vector.shape[1] + 1
    if observation.shape[1] not in (width, width + simulator.candidates.size * per_candidate):
        raise WrongSetting(
            f"the log's observations have {observation.shape[1]} columns, but a user of this world is described by "
            f"{width}; make the log in the world that {agent} is made for."
        )
    return np.array(observation[:, :width], np.float32)
