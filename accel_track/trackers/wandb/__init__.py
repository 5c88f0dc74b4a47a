"""The backend Weights & Biases."""

from accel_track.trackers.wandb.tracker import WandBTracker

__all__ = ["WandBTracker"]
