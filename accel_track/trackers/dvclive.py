"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class DVCLiveTracker(SDKTracker):
    name = "dvclive"
    requires_logging_directory = False
    sdk = "dvclive"
    install = "dvclive"
