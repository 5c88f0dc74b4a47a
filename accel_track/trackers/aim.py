"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class AimTracker(SDKTracker):
    name = "aim"
    requires_logging_directory = False
    sdk = "aim"
    install = "aim"
