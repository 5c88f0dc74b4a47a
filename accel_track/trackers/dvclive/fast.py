"""DVCLive's fast paths: tables of metrics, and what a run that goes on has of artifacts, plots and its experiment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from accel_track.trackers.dvclive.shown import shown_images, shown_plots
from accel_track.trackers.fast import FastPath, UnfitError


class TablesPath(FastPath):
    """The tables of metrics, to which many rows are appended at once, where DVCLive opens the file for each."""

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
    """Artifacts, plots and the experiment's name, as a run that goes on needs them."""

    distribution = "dvclive"
    tested = "==3.49.*"
    attributes = (
        "_artifacts",
        "_images",
        "_plots",
        "_exp_name",
        "_dvc_repo",
        "_inside_dvc_pipeline",
        "_include_untracked",
        "_studio_events_to_skip",
        "post_data_to_studio",
    )

    def __init__(self, native: Any) -> None:
        """Gather nothing for DVC Studio where it is not used: a thread would keep it, and the run, for good."""
        super().__init__(native)
        if "data" in native._studio_events_to_skip:  # noqa: SLF001
            native.post_data_to_studio = _nothing

    def go_on(self, experiment: str | None) -> None:
        """Take up what an earlier part of the run has left: DVCLive would remove it, and take another name."""
        live, listed = self.native, self._listed()
        live._artifacts = self._stored(listed)  # noqa: SLF001
        live._images = shown_images(live.plots_dir)  # noqa: SLF001
        live._plots = shown_plots(live.plots_dir, Path(live.dvc_file).parent, listed)  # noqa: SLF001
        if experiment:
            live._exp_name = experiment  # noqa: SLF001

    def experiment(self) -> str | None:
        """Return the name of the DVC experiment."""
        name: str | None = self.native._exp_name  # noqa: SLF001
        return name

    def in_repository(self) -> bool:
        """Return whether the folder is in a DVC repository."""
        repository = self.native._dvc_repo  # noqa: SLF001
        return repository is not None and Path(self.native.dir).resolve().is_relative_to(
            Path(repository.root_dir).resolve()
        )

    def store_artifact(self, name: str, path: Path, kind: str, about: dict[str, Any]) -> str:
        """Copy a file or folder into `artifacts`, list it, in a repository add it to DVC; return what prevents that.

        Args:
            name: Name of the artifact.
            path: The file or folder.
            kind: Its type.
            about: What DVC is to know of it.
        """
        live = self.native
        self.delete_artifact(name)
        target = Path(live.artifacts_dir).absolute() / f"{name}{path.suffix if path.is_file() else ''}"
        _delete(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
        if not self.in_repository():
            entry = {"path": str(target), "type": kind, "meta": about}
            live._artifacts[name] = {key: value for key, value in entry.items() if value}  # noqa: SLF001
            return ""
        live.log_artifact(str(target), type=kind, name=name, meta=about or None)
        # DVCLive catches DVC's errors, and in a pipeline leaves to DVC what is the output of a stage.
        if not _pointer(target).exists() and not live._inside_dvc_pipeline:  # noqa: SLF001
            self.delete_artifact(name)
            return "DVC did not take it; see DVCLive's own message"
        return ""

    def delete_artifact(self, name: str) -> None:
        """Delete an artifact, if there is one: the copy, DVC's file beside it, the entry in `dvc.yaml`."""
        entry = self.native._artifacts.pop(name, None)  # noqa: SLF001
        if entry is not None:
            target = Path(entry["path"]).absolute()
            _delete(target)
            untracked = self.native._include_untracked  # noqa: SLF001 - saving the experiment would miss the file
            untracked[:] = [file for file in untracked if Path(file).absolute() != _pointer(target)]

    def show_image(self, name: str) -> bool:
        """List an image that is in its place."""
        from dvclive.plots.image import Image

        live = self.native
        live._images[name] = image = Image(name, live.plots_dir)  # noqa: SLF001
        image.step = live.step
        return True

    def forget_plots(self, names: Iterable[str]) -> None:
        """Delete the shown media, and forget images whose files are gone."""
        live = self.native
        for name in names:
            plot = live._plots.pop(name, None)  # noqa: SLF001
            if plot is not None:
                plot.output_path.unlink(missing_ok=True)
        gone = [name for name, image in live._images.items() if not image.output_path.exists()]  # noqa: SLF001
        for name in gone:
            del live._images[name]  # noqa: SLF001

    def _listed(self) -> dict[str, Any]:
        """Return the content of `dvc.yaml`."""
        try:
            return yaml.safe_load(Path(self.native.dvc_file).read_bytes()) or {}
        except (OSError, yaml.YAMLError):
            return {}

    def _stored(self, listed_files: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the artifacts of an earlier part of the run, with absolute paths."""
        file, listed = Path(self.native.dvc_file).absolute(), listed_files.get("artifacts") or {}
        root = os.path.abspath(self.native.artifacts_dir) + os.sep
        paths = {name: os.path.abspath(file.parent / one["path"]) for name, one in listed.items() if "path" in one}
        return {name: {**listed[name], "path": path} for name, path in paths.items() if path.startswith(root)}


def _nothing() -> None:
    """Post nothing."""


def _pointer(target: Path) -> Path:
    return target.with_name(f"{target.name}.dvc")


def _delete(target: Path) -> None:
    for path in (target, _pointer(target)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
