"""The settings of a run, under the import path that they had first; they are in `accel_track.options`."""

from accel_track.options import Delivery, Durability, OnError, Options, Settings

__all__ = ["Delivery", "Durability", "OnError", "Options", "Settings"]
