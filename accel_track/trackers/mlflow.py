"""Placeholder."""

from accel_track.trackers.sdk import SDKTracker


class MLflowTracker(SDKTracker):
    name = "mlflow"
    requires_logging_directory = False
    sdk = "mlflow"
    install = "mlflow"
