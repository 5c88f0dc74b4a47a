"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class ClearMLTracker(SDKTracker):
    name = "clearml"
    requires_logging_directory = False
    sdk = "clearml"
    install = "clearml"
