"""Public data sets and your own event logs, each turned into a catalogue and an interaction log."""

from recgym.loaders.dataset import Dataset, Loader
from recgym.registry import Registry

LOADERS: Registry[Loader] = Registry("loader", "recgym.loaders")
"""All loaders by name. A loader is called as `load(folder, settings)` and answers with a `Dataset`."""

LOADERS.add("kuairand", "recgym.loaders.kuairand:load")
LOADERS.add("event_log", "recgym.loaders.event_log:load")

__all__ = ["LOADERS", "Dataset", "Loader"]
