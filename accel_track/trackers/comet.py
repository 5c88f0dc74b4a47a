"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class CometMLTracker(SDKTracker):
    name = "comet_ml"
    requires_logging_directory = False
    sdk = "comet_ml"
    install = "comet_ml"
