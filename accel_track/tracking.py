"""Trackers and their registry, under the import path that custom trackers are written for."""

from accel_track.registry import (
    LOGGER_TYPE_TO_CLASS,
    filter_trackers,
    get_available_trackers,
    register_tracker_class,
)
from accel_track.trackers.aim.tracker import AimTracker
from accel_track.trackers.base import GeneralTracker, on_main_process
from accel_track.trackers.clearml.tracker import ClearMLTracker
from accel_track.trackers.comet.tracker import CometMLTracker
from accel_track.trackers.console import ConsoleTracker
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from accel_track.trackers.jsonl import JsonlTracker
from accel_track.trackers.mlflow.tracker import MLflowTracker
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from accel_track.trackers.trackio.tracker import TrackioTracker
from accel_track.trackers.wandb.tracker import WandBTracker

__all__ = [
    "LOGGER_TYPE_TO_CLASS",
    "AimTracker",
    "ClearMLTracker",
    "CometMLTracker",
    "ConsoleTracker",
    "DVCLiveTracker",
    "GeneralTracker",
    "JsonlTracker",
    "MLflowTracker",
    "SwanLabTracker",
    "TensorBoardTracker",
    "TrackioTracker",
    "WandBTracker",
    "filter_trackers",
    "get_available_trackers",
    "on_main_process",
    "register_tracker_class",
]
