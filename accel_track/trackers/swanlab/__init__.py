"""The backend SwanLab."""

from accel_track.trackers.swanlab.tracker import SwanLabTracker

__all__ = ["SwanLabTracker"]
