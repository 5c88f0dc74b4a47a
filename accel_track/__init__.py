"""One experiment-tracking API for plain training loops and for Lightning; public names are imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel_track.accelerator import Accelerator
    from accel_track.accelerator.handlers import (
        AutocastKwargs,
        DataLoaderConfiguration,
        DDPCommunicationHookType,
        DistributedDataParallelKwargs,
        GradScalerKwargs,
        InitProcessGroupKwargs,
    )
    from accel_track.accelerator.loaders import skip_first_batches
    from accel_track.accelerator.memory import find_executable_batch_size
    from accel_track.accelerator.seeds import synchronize_rng_states
    from accel_track.available import is_rich_available
    from accel_track.begin import init
    from accel_track.configuration import ProjectConfiguration
    from accel_track.lightning import AccelTrackCallback, AccelTrackLogger
    from accel_track.processes import DistributedType
    from accel_track.registry import LoggerType, TrackerName, register_tracker_class
    from accel_track.state import PartialState
    from accel_track.trackers.base import GeneralTracker, on_main_process

__version__ = "0.2.0"

__all__ = [
    "AccelTrackCallback",
    "AccelTrackLogger",
    "Accelerator",
    "AutocastKwargs",
    "DDPCommunicationHookType",
    "DataLoaderConfiguration",
    "DistributedDataParallelKwargs",
    "DistributedType",
    "GeneralTracker",
    "GradScalerKwargs",
    "InitProcessGroupKwargs",
    "LoggerType",
    "PartialState",
    "ProjectConfiguration",
    "TrackerName",
    "find_executable_batch_size",
    "init",
    "is_rich_available",
    "on_main_process",
    "register_tracker_class",
    "skip_first_batches",
    "synchronize_rng_states",
]

_HOMES = {
    "AccelTrackCallback": "lightning",
    "AccelTrackLogger": "lightning",
    "Accelerator": "accelerator",
    "AutocastKwargs": "accelerator.handlers",
    "DDPCommunicationHookType": "accelerator.handlers",
    "DataLoaderConfiguration": "accelerator.handlers",
    "DistributedDataParallelKwargs": "accelerator.handlers",
    "DistributedType": "processes",
    "GeneralTracker": "trackers.base",
    "GradScalerKwargs": "accelerator.handlers",
    "InitProcessGroupKwargs": "accelerator.handlers",
    "LoggerType": "registry",
    "PartialState": "state",
    "ProjectConfiguration": "configuration",
    "TrackerName": "registry",
    "find_executable_batch_size": "accelerator.memory",
    "init": "begin",
    "is_rich_available": "available",
    "on_main_process": "trackers.base",
    "register_tracker_class": "registry",
    "skip_first_batches": "accelerator.loaders",
    "synchronize_rng_states": "accelerator.seeds",
}


if not TYPE_CHECKING:  # for type checkers, a wrong name is an error

    def __getattr__(name: str) -> Any:
        """Import a public name."""
        if name not in _HOMES:
            from accel_track.absent import PACKAGE, not_here

            if name in PACKAGE:
                not_here(__name__, name)
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
