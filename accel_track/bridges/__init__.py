"""The bridges to other libraries' trackers and trainers; each is imported, and its library with it, when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from accel_track.errors import MissingPackageError
from accel_track.trackers.installing import install_command

if TYPE_CHECKING:
    from accel_track.bridges.accelerate_front import as_accelerate_tracker
    from accel_track.bridges.lightning_logger import LightningLoggerTracker
    from accel_track.bridges.transformers_callback import AccelTrackTrainerCallback

__all__ = ["AccelTrackTrainerCallback", "LightningLoggerTracker", "as_accelerate_tracker"]

_HOMES = {
    "AccelTrackTrainerCallback": ("transformers_callback", "transformers"),
    "LightningLoggerTracker": ("lightning_logger", ""),
    "as_accelerate_tracker": ("accelerate_front", "accelerate"),
}


def __getattr__(name: str) -> Any:
    """Import a public name.

    Raises:
        MissingPackageError: The library that the bridge leads to is not installed.
    """
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home, library = _HOMES[name]
    try:
        value = getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        message = f"{name}: the package {library!r} is missing; {install_command(library)}"
        raise MissingPackageError(message) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
