"""The assets of a Comet experiment: artifacts, models and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from accel_track.errors import EndedError
from accel_track.texts import storable_text
from accel_track.trackers.comet.names import asset_name
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.sdk import SDKTracker


class CometAssets(SDKTracker):
    """The part of the tracker that stores files."""

    def alive(self) -> Any:
        """Return the experiment if it takes values, or none by the user's choice.

        Raises:
            EndedError: The experiment is over, or its server refused it: Comet takes values then and keeps none.
        """
        experiment = self.tracker
        if not (experiment.alive or experiment.disabled):
            message = f"{self.name}: the experiment takes no more values; Comet or somebody else has ended it."
            raise EndedError(message)
        return experiment

    def check(self, name: str, value: Any, stored: Any) -> None:
        """Count the files that Comet did not take, of which it tells by an error in its log and None."""
        if stored is None and not self.alive().disabled:
            self.drop(name, value, "Comet could not take it, see its error above")

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Log a file, or each of a folder, as an asset `<name>` or `<name>/<path>`; of the type "model", as a model."""
        experiment, whole = self.alive(), os.path.abspath(path)
        name = storable_text(name or os.path.basename(whole))
        for file, stored_name in checkpoint_files(asset_name(name), whole):
            if type == "model":
                about = {"step": step, **(metadata or {})}
                stored = experiment.log_model(asset_name(name), file, file_name=stored_name, metadata=about)
            else:
                about = {"artifact": name, "type": type or "artifact", **(metadata or {})}
                stored = experiment.log_asset(file, file_name=stored_name, step=step, metadata=about)
            self.check(name, file, stored)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Log a checkpoint as a model; `values` and the step are the metadata of each file."""
        experiment, metadata = self.alive(), {**lasting(values), "step": step}
        for file, stored_name in checkpoint_files(name, path):
            stored = experiment.log_model(name, file, file_name=stored_name, overwrite=True, metadata=dict(metadata))
            self.check("checkpoint", path, stored)
