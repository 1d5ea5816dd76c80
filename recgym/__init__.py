"""RecGym: thousands of simulated short-video users behind `gymnasium.make` and `gymnasium.make_vec`.

Importing the package registers its worlds (`recgym/ShortVideo-v0`, ...) and loads nothing heavy; the public names below
are imported when they are first used.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recgym.catalog import Catalog
    from recgym.evaluate import evaluate
    from recgym.feedback import Response
    from recgym.interaction_log import InteractionLog
    from recgym.noise import Noise
    from recgym.objective import Objective
    from recgym.observation import Observation
    from recgym.policy import Choice
    from recgym.rollout import rollout
    from recgym.session import FixedLength, Patience, Returns
    from recgym.simulator import Crowd, Simulator, Turn

__version__ = "0.1.0"

_PLACES = {
    "Catalog": "catalog", "evaluate": "evaluate", "Response": "feedback", "InteractionLog": "interaction_log",
    "Noise": "noise", "Objective": "objective", "Observation": "observation", "Choice": "policy", "rollout": "rollout",
    "FixedLength": "session", "Patience": "session", "Returns": "session", "Crowd": "simulator",
    "Simulator": "simulator", "Turn": "simulator",
}  # fmt: skip

__all__ = [
    "Catalog",
    "Choice",
    "Crowd",
    "FixedLength",
    "InteractionLog",
    "Noise",
    "Objective",
    "Observation",
    "Patience",
    "Response",
    "Returns",
    "Simulator",
    "Turn",
    "evaluate",
    "rollout",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'recgym' has no attribute {name!r}")
    return getattr(import_module(f"recgym.{_PLACES[name]}"), name)


for _plugin in entry_points(group="recgym.plugins"):
    _plugin.load()()
