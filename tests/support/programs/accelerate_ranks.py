"""accelerate's Accelerator in several processes, with a tracker of ours and, in ours, one of accelerate's.

Arguments: the folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

from accelerate import Accelerator as TheirAccelerator
from accelerate.tracking import GeneralTracker, on_main_process

import accel_track
from accel_track.bridges import as_accelerate_tracker

folder = Path(sys.argv[1])


class Lines(GeneralTracker):
    name = "lines"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []

    @property
    def tracker(self) -> list[Any]:
        return self.lines

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.lines.append([values, step])

    @on_main_process
    def finish(self) -> None:
        (folder / "lines.json").write_text(json.dumps(self.lines))


theirs = TheirAccelerator(cpu=True, log_with=[as_accelerate_tracker("tensorboard", project_dir=folder)])
rank = theirs.process_index
theirs.init_trackers("pair", config={"lr": 0.1})
for step in range(3):
    theirs.log({"rank": float(rank)}, step)
found = theirs.get_tracker("tensorboard") if theirs.is_main_process else None
names = [tracker.name for tracker in theirs.trackers]

ours = accel_track.Accelerator(log_with=Lines(), project_dir=folder, cpu=True)
ours.init_trackers("inside")
ours.log({"rank": rank}, 7)
ours.end_training()
theirs.end_training()
result = {"world": ours.num_processes, "trackers": names, "found": type(found).__name__}
(folder / f"result_{rank}.json").write_text(json.dumps(result))
