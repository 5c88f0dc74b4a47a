"""The contract suites of all backends, each of which knows its local mode and how to read it back."""

import importlib

from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.testing import TrackerContract
from tests.support.skips import need


def contract(name: str) -> TrackerContract:
    """Return a tracker's contract suite, for its `init_kwargs`, `read` and `points`."""
    module = importlib.import_module(f"tests.support.readers.{name.removesuffix('_ml')}")
    (found,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, TrackerContract) and one is not TrackerContract
    )
    return found()


def contracts() -> dict[str, TrackerContract]:
    """Return the contract suites of the trackers that `"all"` stands for; skip where one of their SDKs is missing."""
    found = {}
    for name, cls in LOGGER_TYPE_TO_CLASS.items():
        if cls.in_all:
            need(cls.sdk or name)
            found[name] = contract(name)
    return found
