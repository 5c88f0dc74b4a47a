"""How many values a backend has, read back with its own reader or from the files that it uploads."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks._settings import named

Point = tuple[str, int]
"""A metric's name and a step."""

_BLOCK, _HEAD = 32768, 7
_PATIENCE = 20.0


def expected(backend: str, values: int) -> int:
    """Return how many values there should be after that many were logged."""
    return values * len(named(backend))


def count(backend: str, folder: Path) -> tuple[int, int]:
    """Return how many values of ours are there, each counted once, and how many more there are of the same ones.

    Args:
        backend: A case's `backend`.
        folder: The case's own.
    """
    found: Counter[tuple[str, Point]] = Counter()
    for one in named(backend):
        found.update((one, point) for point in READERS[one.partition("-")[0]](folder) if "metric_" in point[0])
    return len(found), found.total() - len(found)


def tensorboard(folder: Path) -> Iterator[Point]:
    """Read event files."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for path in folder.rglob("*tfevents*"):
        for content in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(content)
            yield from ((value.tag, event.step) for value in event.summary.value)


def journal(folder: Path) -> Iterator[Point]:
    """Read a journal of ours that no tracker has."""
    from accel_track.journal.reader import JournalReader

    for record in JournalReader(folder / "journal"):
        yield from ((name, record.step) for name in record.values)


def csv_file(folder: Path) -> Iterator[Point]:
    """Read the table of Lightning's CSVLogger."""
    for path in folder.rglob("metrics.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                yield from ((name, int(row["step"])) for name, value in row.items() if value and name != "step")


def wandb(folder: Path) -> Iterator[Point]:
    """Read transaction logs."""
    for row in wandb_rows(folder):
        step = int(row.get("trainer/global_step", row["_step"]))
        yield from ((name, step) for name in row)


def wandb_rows(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of transaction logs, whose last record comes a moment after `Run.finish` has returned."""
    for path in folder.rglob("*.wandb"):
        end = time.monotonic() + _PATIENCE
        while True:
            records = _wandb_records(path.read_bytes())
            if any(record.HasField("exit") for record in records) or time.monotonic() > end:
                break
            time.sleep(0.05)
        for record in records:
            if record.HasField("history"):
                items = record.history.item
                row = {item.key or "/".join(item.nested_key): item.value_json for item in items}
                yield {"_step": str(record.history.step.num), **row}


def _wandb_records(content: bytes) -> list[Any]:
    """Decode a LevelDB log of protobuf records, as far as it is written."""
    from wandb.proto.wandb_internal_pb2 import Record

    position, part, found = _HEAD, b"", []
    while position + _HEAD <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEAD:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", content[position : position + _HEAD])
        if kind == 0 or position + _HEAD + size > len(content):
            break
        part = (part if kind in (3, 4) else b"") + content[position + _HEAD : position + _HEAD + size]
        if kind in (1, 4):
            found.append(Record.FromString(part))
        position += _HEAD + size
    return found


def comet_ml(folder: Path) -> Iterator[Point]:
    """Read archives."""
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            if "messages.json" not in archive.namelist():
                continue
            for line in archive.read("messages.json").splitlines():
                message = json.loads(line)
                if message["type"] == "metric_msg":
                    metric = message["payload"]["metric"]
                    yield metric["metricName"], metric["step"]


def mlflow(folder: Path) -> Iterator[Point]:
    """Ask the store, at the address that the case used; the experiment has the folder's name."""
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(folder.name)
    for run in client.search_runs([experiment.experiment_id]):
        for name in run.data.metrics:
            yield from ((name, point.step) for point in client.get_metric_history(run.info.run_id, name))


def aim(folder: Path) -> Iterator[Point]:
    """Index the repository and read its runs."""
    from aim import Repo
    from aim.sdk.index_manager import RepoIndexManager

    repository = Repo.from_path(str(folder))
    manager = RepoIndexManager(repository)
    for place in (folder / ".aim" / "meta" / "chunks").iterdir():
        manager.index(place.name)
    repository.container_pool.clear()
    for run in repository.iter_runs():
        for metric in run.metrics():
            yield from ((metric.name, int(step)) for step in metric.dataframe()["step"])


def clearml(folder: Path) -> Iterator[Point]:
    """Read offline sessions; title and series make the name."""
    for path in (folder / "clearml").glob("offline/*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            for event in json.loads(line):
                if event["type"] == "training_stats_scalar" and not event["metric"].startswith(":monitor:"):
                    yield f"{event['metric']}:{event['variant']}", event["iter"]


def dvclive(folder: Path) -> Iterator[Point]:
    """Read the tables."""
    for path in folder.rglob("plots/metrics/**/*.tsv"):
        with path.open(newline="") as file:
            _, *rows = csv.reader(file, delimiter="\t")
        yield from ((path.stem, int(row[0])) for row in rows)


def swanlab(folder: Path) -> Iterator[Point]:
    """Read run files."""
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreReader

    for path in folder.rglob("*.swanlab"):
        reader = DataStoreReader()
        reader.open(path)
        while (content := reader.scan()) is not None:
            record = Record.FromString(content)
            if record.HasField("scalar"):
                yield record.scalar.key, record.scalar.step
        reader.close()


def trackio(folder: Path) -> Iterator[Point]:
    """Read the databases."""
    for path in (folder / "trackio").glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            for step, text in connection.execute("select step, metrics from metrics"):
                yield from ((name, step) for name in json.loads(text))


READERS: dict[str, Callable[[Path], Iterator[Point]]] = {
    "journal": journal,
    "aim": aim,
    "clearml": clearml,
    "comet_ml": comet_ml,
    "csv": csv_file,
    "dvclive": dvclive,
    "mlflow": mlflow,
    "swanlab": swanlab,
    "tensorboard": tensorboard,
    "trackio": trackio,
    "wandb": wandb,
}
