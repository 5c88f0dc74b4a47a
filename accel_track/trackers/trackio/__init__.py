"""The backend Trackio."""

from accel_track.trackers.trackio.tracker import TrackioTracker

__all__ = ["TrackioTracker"]
