"""The backend ClearML."""

from accel_track.trackers.clearml.tracker import ClearMLTracker

__all__ = ["ClearMLTracker"]
