"""A tracker that writes CSV files, one row for each value: step, time, name, value."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from accel_track.media.ways import KINDS, none
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import storable

__all__ = ["CSVTracker"]


class CSVTracker(SDKTracker):
    """One file, `<logging_dir>/<run_name>.csv`, and the hyperparameters beside it, in `<run_name>.json`.

    Args:
        run_name: Name of the run, perhaps with folders: `project/run`.
        logging_dir: Folder of the files.
        resume: Whether the run goes on in its files.
        **kwargs: Passed to `csv.writer`, such as `delimiter=";"`.
    """

    name = "csv"
    sdk = "csv"  # the module that `start` imports; a backend's package in its place
    requires_logging_directory = True
    batch_size = 1000
    keeps_time = True
    keeps_nesting = True
    media = dict.fromkeys(KINDS, none("a CSV file holds numbers and texts"))

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str], resume: bool = False, **kwargs: Any) -> None:
        super().__init__(run_name, **kwargs)
        self.path = Path(logging_dir, f"{run_name}.csv")
        self.resume = resume
        self.config: dict[str, Any] = {}

    @classmethod
    def for_run(cls, project: str, run_name: str | None, directory: Any, init_kwargs: dict[str, Any]) -> "CSVTracker":
        """Make the tracker when it is asked for by name."""
        return cls(**{"run_name": os.path.join(project, run_name or "run"), "logging_dir": directory, **init_kwargs})

    def open(self, sdk: Any) -> TextIO:
        """Open the run: return the native object, which users get by `get_tracker("csv", unwrap=True)`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a" if self.resume else "w", newline="", encoding="utf-8")
        self.writer = sdk.writer(file, **self.init_kwargs)
        if file.tell() == 0:
            self.writer.writerow(["step", "time", "name", "value"])
        return file

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Store hyperparameters, beside those of before: they come once or several times."""
        place = self.path.with_suffix(".json")
        if self.resume and not self.config and place.exists():
            self.config = json.loads(place.read_text(encoding="utf-8"))
        self.config |= storable(values)
        place.write_text(json.dumps(self.config, indent=2), encoding="utf-8")

    def write(self, rows: Sequence[Row]) -> None:
        """Store calls, each with its values by their flat names: all of them or, where this raises, none."""
        self.writer.writerows([row.step, row.time, name, value] for row in rows for name, value in row.values.items())

    def flush(self) -> None:
        """Make what was written survive the end of the process: from now on it counts as delivered."""
        self.tracker.flush()

    def identity(self) -> dict[str, Any]:
        """Return the arguments with which another process goes on, such as `accel-track sync`."""
        return {"resume": True}

    def close(self, native: TextIO) -> None:
        native.close()
