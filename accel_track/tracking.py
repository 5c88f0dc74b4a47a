"""Trackers and their registry, under the import path that custom trackers are written for."""

from accel_track.registry import (
    LOGGER_TYPE_TO_CLASS,
    filter_trackers,
    get_available_trackers,
    register_tracker_class,
)
from accel_track.trackers.aim import AimTracker
from accel_track.trackers.base import GeneralTracker, on_main_process
from accel_track.trackers.clearml import ClearMLTracker
from accel_track.trackers.comet import CometMLTracker
from accel_track.trackers.console import ConsoleTracker
from accel_track.trackers.dvclive import DVCLiveTracker
from accel_track.trackers.jsonl import JsonlTracker
from accel_track.trackers.mlflow import MLflowTracker
from accel_track.trackers.swanlab import SwanLabTracker
from accel_track.trackers.tensorboard import TensorBoardTracker
from accel_track.trackers.trackio import TrackioTracker
from accel_track.trackers.wandb import WandBTracker

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
