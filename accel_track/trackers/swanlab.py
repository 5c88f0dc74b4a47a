"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class SwanLabTracker(SDKTracker):
    name = "swanlab"
    requires_logging_directory = False
    sdk = "swanlab"
    install = "swanlab"
