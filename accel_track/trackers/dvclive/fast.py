"""DVCLive's private parts: tables of metrics, and a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accel_track.trackers.dvclive.files import delete_artifact, store_artifact, stored_artifacts
from accel_track.trackers.fast import FastPath, UnfitError


class TablesPath(FastPath):
    """Knows the tables of metrics, so that many rows are appended at once, where DVCLive opens the file for each."""

    distribution = "dvclive"
    tested = "==3.49.*"
    parts = ("dvclive.plots.metric:Metric.output_path", "dvclive.plots.metric:Metric.dump")

    def __init__(self, native: Any) -> None:
        """Ask DVCLive where a table is."""
        super().__init__(native)
        from dvclive.plots.metric import Metric

        place = Metric("m", native.plots_dir).output_path
        if place != Path(native.plots_dir, "metrics", "m.tsv"):
            message = f"the table of a metric 'm' is {place}"
            raise UnfitError(message)


class LivePath(FastPath):
    """Checkpoints and the experiment's name, as a run that goes on needs them."""

    distribution = "dvclive"
    tested = "==3.49.*"
    attributes = (
        "_artifacts",
        "_exp_name",
        "_dvc_repo",
        "_inside_dvc_pipeline",
        "_include_untracked",
        "_studio_events_to_skip",
        "post_data_to_studio",
    )

    def __init__(self, native: Any) -> None:
        """Have nothing gathered for DVC Studio where it is not used: a thread would keep it, and the run, for good."""
        super().__init__(native)
        if "data" in native._studio_events_to_skip:  # noqa: SLF001
            native.post_data_to_studio = _nothing

    def go_on(self, experiment: str | None) -> None:
        """Take up what an earlier part of the run has left: DVCLive would remove it, and take another name."""
        self.native._artifacts = stored_artifacts(self.native)  # noqa: SLF001
        if experiment:
            self.native._exp_name = experiment  # noqa: SLF001

    def experiment(self) -> str | None:
        """Return the name of the DVC experiment."""
        name: str | None = self.native._exp_name  # noqa: SLF001
        return name

    def store_checkpoint(self, name: str, path: Path, about: dict[str, Any]) -> str:
        """Add a checkpoint to DVC; return what prevents that, or an empty text."""
        return store_artifact(self.native, name, path, about) or ""

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint."""
        delete_artifact(self.native, name)


def _nothing() -> None:
    """Post nothing."""
