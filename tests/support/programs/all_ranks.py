"""Run by test_all_ranks.py in two processes: each writes what it sees to `seen-<rank>.json`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

import torch

from accel_track import Accelerator
from accel_track.registry import register_tracker_class
from accel_track.trackers.base import GeneralTracker


class Lines(GeneralTracker):
    """A tracker that runs on every rank, with a file for each of its runs."""

    name = "lines"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, project: str, number: int = 0, group: str = "") -> None:
        super().__init__()
        self.file, self.number, self.group = f"{project}-{number}.jsonl", number, group

    @property
    def tracker(self) -> str:
        return self.file

    def _write(self, *what: Any) -> None:
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")

    def start(self) -> None:
        self._write("start", self.group)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._write("log", step, values)

    def identity(self) -> dict[str, Any]:
        return {"number": self.number, "group": self.group}

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        return {"number": rank, "group": group}


def reduced(accelerator: Accelerator) -> None:
    """Log what differs between the ranks, reduced."""
    rank = accelerator.process_index
    values = {
        "one": torch.tensor([float(rank + 1)]),
        "nested": {"two": 10 * (rank + 1), "deeper": {"three": rank == 0, "empty": {}}},
        "text": f"of rank {rank}",
        "none": None,
        "list": [rank],
    }
    for step, reduce in enumerate(("mean", "sum", "max")):
        accelerator.log(values, step=step, reduce=reduce)
    accelerator.log({"text": "nothing to reduce"}, step=3, reduce="sum")
    accelerator.log({"one": rank}, step=4)
    try:
        accelerator.log({"one": 1.0}, reduce="median")
    except ValueError as error:
        seen["error"] = str(error)


if __name__ == "__main__":
    register_tracker_class(Lines)
    # One run, of rank 0: everything public may be called on rank 1.
    accelerator = Accelerator(["tensorboard", "mlflow", "wandb"], "runs", cpu=True)
    accelerator.init_trackers("single", {"lr": 0.1})
    seen: dict[str, Any] = {"trackers": sorted(one.name for one in accelerator.trackers)}
    reduced(accelerator)
    accelerator.get_tracker("wandb").log_table("table", columns=["a"], data=[[1]])
    accelerator.get_tracker("tensorboard").log_images({"picture": torch.rand(3, 4, 4)}, step=0)
    if not accelerator.is_main_process:
        accelerator.get_tracker("wandb", unwrap=True).config.update({"anything": 1}, allow_val_change=True)
        accelerator.get_tracker("nobody", unwrap=True).has["this"].name()
        assert not accelerator.get_tracker("mlflow").started
    accelerator.save_state("state")
    accelerator.end_training()
    accelerator.end_training("failed")
    # Two runs of every rank: one delivered at once, one later.
    for project, trackers, delivery in (("all", ["mlflow", "wandb", "lines"], "thread"), ("later", ["lines"], "none")):
        with Accelerator(trackers, "runs", cpu=True, all_ranks=True, delivery=delivery) as accelerator:
            accelerator.init_trackers(project, {"lr": 0.1})
            seen[project] = sorted(one.name for one in accelerator.trackers)
            for step in range(3):
                accelerator.log({"loss": float(accelerator.process_index)}, step=step)
            accelerator.log({"same": float(accelerator.process_index)}, step=3, reduce="sum")
    Path(f"seen-{accelerator.process_index}.json").write_text(json.dumps(seen))
