"""The backend Comet."""

from accel_track.trackers.comet.tracker import CometMLTracker

__all__ = ["CometMLTracker"]
