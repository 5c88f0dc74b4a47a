"""The backend Aim."""

from accel_track.trackers.aim.tracker import AimTracker

__all__ = ["AimTracker"]
