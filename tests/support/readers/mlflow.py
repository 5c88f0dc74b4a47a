"""MLflow's SQLite store, read with MLflow's own client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from accel_track.testing import Columns, Readback, Seen, TrackerContract
from accel_track.trackers.mlflow.tracker import MLflowTracker
from tests.support.pictures import pixels


def all_runs(uri: str) -> list[Run]:
    """Return every run of every experiment."""
    client = MlflowClient(uri)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each artifact of a run, as MLflow's client gets them."""
    for one in client.list_artifacts(run_id, folder):
        if one.is_dir:
            yield from artifacts(client, run_id, one.path)
        else:
            yield one.path, Path(client.download_artifacts(run_id, one.path)).read_bytes()


def media_of(client: MlflowClient, run: Run) -> dict[str, list[Seen]]:
    """Return a run's media and artifacts, in the order of their times."""
    found: dict[str, list[tuple[int, Seen]]] = {}
    folders: dict[str, dict[str, bytes]] = {}
    for path, content in artifacts(client, run.info.run_id):
        top, _, rest = path.partition("/")
        if top == "images":
            if path.endswith(".png"):
                key, _, step, _, moment, _ = rest.split("+")
                seen = Seen(pixels(content), int(step))
                found.setdefault(key.replace("~", "/"), []).append((int(moment), seen))
        elif top == "media":
            name, _, file = rest.rpartition("/")
            _, step, moment, _ = file.split("-")
            found.setdefault(name, []).append((int(moment), Seen(_content(file, content), int(step))))
        elif rest:
            folders.setdefault(top, {})[rest] = content
        else:
            folders[top] = {top: content}
    media = {name: [seen for _, seen in sorted(some, key=lambda one: one[0])] for name, some in found.items()}
    return media | {name: [Seen(parts)] for name, parts in folders.items() if not name.endswith("accel_track.json")}


def _content(file: str, content: bytes) -> Any:
    """Return a table, or a file's bytes."""
    whole = json.loads(content) if file.endswith(".json") else {}
    return Columns(whole["columns"], whole["data"]) if "columns" in whole else content


class MLflowContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = MLflowTracker

    def make(self, folder: Path) -> MLflowTracker:
        return MLflowTracker("contract", folder / "mlartifacts", tracking_uri=f"sqlite:///{folder}/mlflow.db")

    def read(self, folder: Path) -> Readback:
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        runs = all_runs(f"sqlite:///{folder}/mlflow.db")
        run = runs[0]
        assert run.info.status in {"FINISHED", "FAILED"}
        experiment = client.get_experiment(run.info.experiment_id)
        stored = Readback(project=experiment.name, run_name=run.info.run_name, runs=len(runs), config=run.data.params)
        for key in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, key)
            stored.metrics[key] = [(point.step, point.value) for point in points]
            stored.times[key] = [point.timestamp / 1000 for point in points]
        assert experiment.artifact_location.removeprefix("file://") == str(folder / "mlartifacts")
        stored.media = media_of(client, run)
        for model in client.search_logged_models([experiment.experiment_id]):
            assert (model.source_run_id, model.status) == (run.info.run_id, "READY")
            place = Path(model.artifact_location.removeprefix("file://"))
            parts = {one.relative_to(place).as_posix(): one.read_bytes() for one in place.rglob("*") if one.is_file()}
            stored.media[model.name] = [Seen(parts)]
        return stored
