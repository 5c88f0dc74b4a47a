"""The front door for Lightning: a logger and a callback."""

from accel_track.lightning.callback import AccelTrackCallback
from accel_track.lightning.likeness import loggers_like
from accel_track.lightning.logger import AccelTrackLogger

__all__ = ["AccelTrackCallback", "AccelTrackLogger", "loggers_like"]
