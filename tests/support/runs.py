"""Runs read back: from the journal, from TensorBoard's files and from MLflow."""

from pathlib import Path

from accel_track.journal.cursor import load
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.records import Metrics


def only_run(folder: Path) -> RunDirectory:
    """Return the one run below a folder."""
    (found,) = find_runs(folder)
    return found


def journaled(run: RunDirectory) -> list[int | None]:
    """Return the steps in a run's journal, in order."""
    return [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]


def acknowledged(run: RunDirectory, tracker: str) -> int:
    """Return how many records a tracker has, by its cursor."""
    return load(run.cursor(tracker)).delivered


def scalars(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    """Return what TensorBoard's own reader finds of a metric, in the folder of the only run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = next((file.parent for file in folder.rglob("events.out.tfevents.*")), folder)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)] if name in events.Tags()["scalars"] else []


def metric_history(uri: str, name: str = "loss") -> list[tuple[int, float]]:
    """Return what MLflow has of a metric, in the only run of the only experiment that has runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))
