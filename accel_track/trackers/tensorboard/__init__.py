"""The backend TensorBoard."""

from accel_track.trackers.tensorboard.tracker import TensorBoardTracker

__all__ = ["TensorBoardTracker"]
