"""The SDKs called directly: each function returns how to log values with a step, and how to finish."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks._measure import Log
from benchmarks._settings import arguments

Raw = tuple[Log, Callable[[], object]]


def tensorboard(folder: Path) -> Raw:
    """One `add_scalar` per value."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def log(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def wandb(folder: Path) -> Raw:
    """One `Run.log` per call."""
    import wandb as sdk

    run = sdk.init(project=folder.name, **arguments("wandb", folder))
    return run.log, run.finish


def comet_ml(folder: Path) -> Raw:
    """One `Experiment.log_metrics` per call."""
    import comet_ml as sdk

    experiment = sdk.start(project_name=folder.name, **arguments("comet_ml", folder))
    return (lambda values, step: experiment.log_metrics(values, step=step)), experiment.end


def mlflow(folder: Path) -> Raw:
    """One `MlflowClient.log_batch` per call."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient()
    run = client.create_run(client.create_experiment(folder.name)).info.run_id

    def log(values: dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        client.log_batch(run, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    return log, lambda: client.set_terminated(run)


def aim(folder: Path) -> Raw:
    """One `Run.track` per call: Aim takes a dictionary."""
    from aim import Run

    run = Run(repo=str(folder), experiment=folder.name, **arguments("aim", folder))
    return (lambda values, step: run.track(values, step=step)), run.close


def clearml(folder: Path) -> Raw:
    """One `Logger.report_scalar` per value."""
    from clearml import Task

    no_update_check()
    task = Task.init(project_name=folder.name, task_name="run", **arguments("clearml", folder))
    logger = task.get_logger()

    def log(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            title, _, series = name.rpartition("/")
            logger.report_scalar(title, series, value, iteration=step)

    return log, task.close


def no_update_check() -> None:
    """Keep ClearML from asking a server for new versions, which it does offline, too."""
    from clearml.utilities.check_updates import CheckPackageUpdates

    CheckPackageUpdates._package_version_checked = True


def dvclive(folder: Path) -> Raw:
    """One `Live.log_metric` per value, and `next_step`, as DVCLive's documentation has it."""
    from dvclive import Live

    live = Live(**arguments("dvclive", folder))

    def log(values: dict[str, float], step: int) -> None:
        live.step = step
        for name, value in values.items():
            live.log_metric(name, value)
        live.next_step()

    return log, live.end


def swanlab(folder: Path) -> Raw:
    """One `Run.log` per call."""
    import swanlab as sdk

    run = sdk.init(project=folder.name, **arguments("swanlab", folder))
    return run.log, run.finish


def trackio(folder: Path) -> Raw:
    """One `Run.log` per call."""
    import trackio as sdk

    run = sdk.init(project=folder.name, **arguments("trackio", folder))
    return run.log, run.finish
