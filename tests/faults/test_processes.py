"""Forked and spawned children: no deadlock, no duplicate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import journaled, only_run, scalars

PROGRAMS = {
    "DataLoader": """
import torch
from torch.utils.data import DataLoader, Dataset
from accel_track import Accelerator

class Numbers(Dataset):
    def __len__(self):
        return 120
    def __getitem__(self, index):
        return torch.tensor(float(index))

def main():
    accelerator = Accelerator(log_with=["tensorboard", "mlflow"], project_dir="logs", cpu=True)
    accelerator.init_trackers("p")
    step = 0
    for batch in DataLoader(Numbers(), batch_size=4, num_workers=2, multiprocessing_context=CONTEXT):
        accelerator.log({"loss": step / 8}, step=step)
        step += 1
    accelerator.end_training()

if __name__ == "__main__":
    main()
""",
    "Process": """
import multiprocessing
from accel_track import Accelerator

accelerator = None

def child(number):
    if accelerator is not None:  # forked, not spawned
        accelerator.log({"loss": -1.0}, step=number)
        accelerator.get_tracker("tensorboard")
        accelerator.end_training()

def main():
    global accelerator
    accelerator = Accelerator(log_with=["tensorboard", "mlflow"], project_dir="logs", cpu=True)
    accelerator.init_trackers("p")
    context = multiprocessing.get_context(CONTEXT)
    for step in range(30):
        accelerator.log({"loss": step / 8}, step=step)
        if step % 20 == 5:
            process = context.Process(target=child, args=(step,))
            process.start()
            process.join(60)
            assert process.exitcode == 0, process.exitcode
    accelerator.end_training()

if __name__ == "__main__":
    main()
""",
}


@pytest.mark.first(1)
@pytest.mark.timeout(200)
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("kind", PROGRAMS)
def test_children(kind: str, context: str, program: Callable[..., Any]) -> None:
    process = program(PROGRAMS[kind].replace("CONTEXT", repr(context)), forks=True)
    _, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors
    expected = list(range(30))
    run = only_run(Path("logs"))
    assert journaled(run) == expected
    assert [step for step, _ in scalars(Path("logs/p"))] == expected
    assert ("a forked process logs nothing" in errors) == (kind == "Process" and context == "fork")
    assert json.loads((run.path / "run.json").read_text())["status"] == "finished"
