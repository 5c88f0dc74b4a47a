"""The backend DVCLive."""

from accel_track.trackers.dvclive.tracker import DVCLiveTracker

__all__ = ["DVCLiveTracker"]
