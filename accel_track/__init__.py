"""One experiment-tracking API for plain training loops and for Lightning; public names are imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel_track.accelerator import Accelerator
    from accel_track.begin import init
    from accel_track.configuration import ProjectConfiguration
    from accel_track.lightning import AccelTrackCallback, AccelTrackLogger
    from accel_track.registry import LoggerType, register_tracker_class
    from accel_track.state import PartialState
    from accel_track.trackers.base import GeneralTracker, on_main_process

__version__ = "0.1.0"

__all__ = [
    "AccelTrackCallback",
    "AccelTrackLogger",
    "Accelerator",
    "GeneralTracker",
    "LoggerType",
    "PartialState",
    "ProjectConfiguration",
    "init",
    "on_main_process",
    "register_tracker_class",
]

_HOMES = {
    "AccelTrackCallback": "lightning",
    "AccelTrackLogger": "lightning",
    "Accelerator": "accelerator",
    "GeneralTracker": "trackers.base",
    "LoggerType": "registry",
    "PartialState": "state",
    "ProjectConfiguration": "configuration",
    "init": "begin",
    "on_main_process": "trackers.base",
    "register_tracker_class": "registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
