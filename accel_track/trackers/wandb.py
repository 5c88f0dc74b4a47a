"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class WandBTracker(SDKTracker):
    name = "wandb"
    requires_logging_directory = False
    sdk = "wandb"
    install = "wandb"
