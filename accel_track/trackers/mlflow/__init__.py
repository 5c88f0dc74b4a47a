"""The backend MLflow."""

from accel_track.trackers.mlflow.tracker import MLflowTracker

__all__ = ["MLflowTracker"]
