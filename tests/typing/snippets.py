"""Calls as users write them, for mypy and pyright; nothing of it runs.

Each wrong call has a `type: ignore`, and both tools say if that one is not needed: `tox -e types`.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import Any

from lightning.pytorch import Trainer
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from typing_extensions import assert_type

import accel_track
from accel_track import Accelerator, AccelTrackCallback, AccelTrackLogger, GeneralTracker, LoggerType, TrackerName
from accel_track.registry import BackendName


def names(given: str, own: GeneralTracker) -> None:
    Accelerator("wandb")
    Accelerator(log_with=["tensorboard", LoggerType.MLFLOW, own, TrackerName("of_a_plugin")])
    Accelerator("wandbb")  # type: ignore[arg-type]
    Accelerator(["wandb", "mlfow"])  # type: ignore[list-item]
    Accelerator(given)  # type: ignore[arg-type]
    Accelerator(LoggerType(given))
    several: list[BackendName] = ["aim", "all"]
    Accelerator(several)
    AccelTrackLogger("comet_ml")
    AccelTrackLogger("comet")  # type: ignore[arg-type]
    AccelTrackCallback("dvclive")
    AccelTrackCallback("dvc")  # type: ignore[arg-type]
    accel_track.init("project", "jsonl")
    accel_track.init("project", "json")  # type: ignore[arg-type]


def options() -> None:
    Accelerator(delivery="process", resume="must", finish_timeout=5)
    Accelerator(delivery="threads")  # type: ignore[arg-type]
    AccelTrackLogger(durability="disk")  # type: ignore[arg-type]
    accel_track.init("project", finish_timout=5)  # type: ignore[call-arg]
    accel_track.Acelerator("wandb")  # type: ignore[attr-defined]


def trackers(accelerator: Accelerator, logger: AccelTrackLogger, unwrap: bool) -> None:
    with accel_track.init("project") as run:
        assert_type(run.get_tracker("wandb"), GeneralTracker)
        assert_type(run.get_tracker("wandb", unwrap=True), Any)
    assert_type(accelerator.get_tracker("wandb"), GeneralTracker)
    assert_type(accelerator.get_tracker("wandb", unwrap=False), GeneralTracker)
    assert_type(accelerator.get_tracker("wandb", unwrap=True), Any)
    assert_type(accelerator.get_tracker("wandb", True), Any)
    assert_type(accelerator.get_tracker("wandb", unwrap), Any)
    assert_type(logger.get_tracker("wandb"), GeneralTracker)
    assert_type(logger.get_tracker("wandb", unwrap=True), Any)
    accelerator.get_tracker(0)  # type: ignore[call-overload]
    accelerator.get_tracker("wandb").lgo({})  # type: ignore[attr-defined]


def prepared(accelerator: Accelerator, loader: "DataLoader[int]") -> None:
    model = accelerator.prepare(nn.Linear(1, 1))
    assert_type(model, nn.Linear)
    optimizer = optim.SGD(model.parameters())
    both = accelerator.prepare(model, optimizer)
    assert_type(both, tuple[nn.Linear, optim.SGD])
    _, _, batches, scheduler = accelerator.prepare(model, optimizer, loader, StepLR(optimizer, 1))
    assert_type(batches, "DataLoader[int]")
    assert_type(scheduler, StepLR)
    _, _ = accelerator.prepare(model)  # type: ignore[misc]
    _, _ = accelerator.prepare(model, optimizer, loader)  # type: ignore[misc]


def lightning(logger: AccelTrackLogger, callback: AccelTrackCallback) -> None:
    Trainer(logger=logger, callbacks=[callback])
    Trainer(logger=[logger], callbacks=callback)


class Own(GeneralTracker):
    name = "own"
    requires_logging_directory = False

    @property
    def tracker(self) -> Any:
        return None


def own() -> None:
    Accelerator(log_with=[Own(), "console"])
    Accelerator(log_with=Own)  # type: ignore[arg-type]
    accel_track.register_tracker_class(Own)
    accel_track.register_tracker_class(int)  # type: ignore[type-var]
