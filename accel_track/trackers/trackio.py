"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class TrackioTracker(SDKTracker):
    name = "trackio"
    requires_logging_directory = False
    sdk = "trackio"
    install = "trackio"
