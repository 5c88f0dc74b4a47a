"""The front door for plain training loops."""

from accel_track.accelerator.facade import Accelerator

__all__ = ["Accelerator"]
