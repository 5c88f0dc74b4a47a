"""Ours and the peers behind one small interface: log and finish."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks import _raw
from benchmarks._case import Case, Gap
from benchmarks._measure import POOL, Log
from benchmarks._settings import PACKAGES, arguments, named, need, prepare

_PATIENCE = 600.0


@dataclass
class Client:
    """Something to log with.

    Attributes:
        log: Logs values with a step.
        finish: Returns when everything is stored.
        logger: The Lightning logger, where it is one.
        drained: Whether so many calls have been handed to every backend, where that can be told.
    """

    log: Log
    finish: Callable[[], object]
    logger: Any = None
    drained: Callable[[int], bool] = lambda _: True


def open_client(case: Case, folder: Path) -> Client:
    """Start what a case logs with, in that folder.

    Raises:
        Gap: Something is missing for it.
    """
    for backend in named(case.backend):
        if backend in PACKAGES:
            need(PACKAGES[backend])
    prepare(case.backend, folder)
    systems = {"floor": _floor, "journal": _journal, "logger": _logger, "facade": _facade}
    systems |= {"HF": _hugging_face, "PL": _lightning, "raw": _raw_client}
    return systems[case.system](case, folder)


def _floor(_: Case, folder: Path) -> Client:
    """Append as many bytes as a record has, and do nothing else."""
    from accel_track.journal.reader import JournalReader
    from accel_track.journal.writer import JournalWriter

    journal = JournalWriter(folder / "sample")
    for step in range(3):
        journal.metrics(POOL[step], step, {})
    journal.close()
    before, last = (entry.end.offset for entry in JournalReader(folder / "sample").read(3)[-2:])
    data = b"x" * (last - before)
    file = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return Client(lambda _, __: os.write(file, data), lambda: os.close(file))


def _journal(_: Case, folder: Path) -> Client:
    """Append records to a journal, with nothing around it."""
    from accel_track.journal.writer import JournalWriter

    journal = JournalWriter(folder / "journal")
    return Client(lambda values, step: journal.again(values, step) or journal.metrics(values, step, {}), journal.close)


def _names(case: Case) -> list[str]:
    return [name.partition("-")[0] for name in named(case.backend)]


def _ours(case: Case) -> dict[str, Any]:
    """Return what both front doors are given; what a tracker does not get is missed when all is counted."""
    from accel_track.options import Delivery

    if case.delivery not in get_args(Delivery):
        message = f'this accel_track has no delivery="{case.delivery}"'
        raise Gap(message)
    timeouts = {"start_timeout": _PATIENCE, "finish_timeout": _PATIENCE}
    return {"log_with": _names(case), "delivery": case.delivery, **timeouts}


def _init_kwargs(case: Case, folder: Path) -> dict[str, dict[str, Any]]:
    plain = case.delivery != "thread"
    found = {name: arguments(name, folder, plain=plain) for name in _names(case)}
    return {name: given for name, given in found.items() if given}


def delivered(folder: Path, trackers: int, calls: int) -> bool:
    """Whether all trackers of the run in a folder were given that many calls, as their cursors say."""
    cursors = list(folder.rglob("cursors/*.json"))
    return len(cursors) == trackers and all(json.loads(path.read_text())["taken"] >= calls for path in cursors)


def _drained(case: Case, folder: Path) -> Callable[[int], bool]:
    """A companion process need not be this one's child, so its CPU time does not tell that it is through."""
    return lambda calls: case.delivery != "process" or delivered(folder, len(_names(case)), calls)


def _logger(case: Case, folder: Path) -> Client:
    from accel_track import AccelTrackLogger

    names = {"name": folder.name, "version": "run", "save_dir": str(folder)}
    logger = AccelTrackLogger(**names, init_kwargs=_init_kwargs(case, folder), **_ours(case))
    logger.open()
    return Client(logger.log_metrics, logger.finish, logger, _drained(case, folder))


def _facade(case: Case, folder: Path) -> Client:
    from accel_track import Accelerator

    accelerator = Accelerator(project_dir=folder, cpu=True, **_ours(case))
    accelerator.init_trackers(folder.name, init_kwargs=_init_kwargs(case, folder))
    return Client(accelerator.log, accelerator.end_training, drained=_drained(case, folder))


def _hugging_face(case: Case, folder: Path) -> Client:
    need("accelerate")
    from accelerate import Accelerator

    if case.backend == "clearml":
        _raw.no_update_check()
    (name,) = _names(case)
    accelerator = Accelerator(log_with=name, project_dir=str(folder), cpu=True)
    accelerator.init_trackers(folder.name, init_kwargs=_init_kwargs(case, folder))
    return Client(accelerator.log, accelerator.end_training)


def _raw_client(case: Case, folder: Path) -> Client:
    return Client(*getattr(_raw, case.backend.partition("-")[0])(folder))


def _lightning(case: Case, folder: Path) -> Client:
    need("lightning")
    from lightning.pytorch import loggers

    place, project = str(folder), folder.name
    finish: Callable[[], object]
    if case.backend == "tensorboard":
        more = {"max_queue": 1000} if "max_queue" in case.name else {}
        logger: Any = loggers.TensorBoardLogger(place, name=project, **more)
        finish = lambda: logger.finalize("success")  # noqa: E731
    elif case.backend == "csv":
        logger = loggers.CSVLogger(place, name=project)
        finish = lambda: logger.finalize("success")  # noqa: E731
    elif case.backend == "wandb":
        logger = loggers.WandbLogger(save_dir=place, project=project, offline=True)
        finish = logger.experiment.finish
    elif case.backend == "comet_ml":
        logger = _comet_logger(loggers.CometLogger, project, place)
        finish = logger.experiment.end
    else:
        logger = loggers.MLFlowLogger(experiment_name=project, tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
        finish = lambda: logger.finalize("success")  # noqa: E731
    _ = logger.experiment
    return Client(logger.log_metrics, finish, logger)


def _comet_logger(logger_class: Any, project: str, place: str) -> Any:
    """Lightning 2.6.6 turns `online=False` into `disabled=True`, with which Comet writes nothing; undo that."""
    import comet_ml

    original = comet_ml.ExperimentConfig

    def enabled(**options: Any) -> Any:
        return original(**{**options, "disabled": False})

    comet_ml.ExperimentConfig = enabled
    try:
        options = {"auto_metric_logging": False, "display_summary_level": 0, "offline_directory": place}
        return logger_class(project=project, online=False, **options)
    finally:
        comet_ml.ExperimentConfig = original
