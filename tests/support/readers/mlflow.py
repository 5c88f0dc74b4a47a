"""MLflow's SQLite store, read with MLflow's own client."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.mlflow.tracker import MLflowTracker


def all_runs(uri: str) -> list[Run]:
    """Return every run of every experiment."""
    client = MlflowClient(uri)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


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
        for path in sorted((folder / "mlartifacts" / run.info.run_id / "artifacts" / "images").glob("*.png")):
            name = path.name.split("+step+")[0].removesuffix("~0").removesuffix("~1")
            with Image.open(path) as image:
                stored.images.setdefault(name, []).append((image.height, image.width))
        return stored
