"""The facade in two real processes on the CPU, started by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support import warm
from tests.support.processes import PROGRAMS


def torchrun(script: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script in two processes, with a folder as its argument."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0"]
    return warm.run(
        [*command, "--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0", str(script), str(folder)],
        timeout=240,
        env={**os.environ, **warm.NOT_MEASURED, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_processes_log_one_run_and_share_the_data(tmp_path: Path) -> None:
    done = torchrun(PROGRAMS / "torchrun.py", tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"result_{rank}.json").read_text()) for rank in (0, 1))

    assert [first["main"], second["main"]] == [True, False]
    assert [first["trackers"], second["trackers"]] == [2, 0]
    for result in (first, second):
        assert result["world"] == 2
        assert result["seen"] == [0, 1, 2, 3, 4, 5, 6]  # the data set's order, without the repeated sample
        assert result["with_padding"] == [0, 0, 1, 2, 3, 4, 5, 6]
        assert (result["sum"], result["mean"], result["ranks"]) == (1.0, 0.5, [0.0, 1.0])
        assert result["unchanged"] == result["rank"]
    assert first["weight"] == second["weight"]  # gradients were averaged

    (events,) = tmp_path.glob("project/*/events.out.tfevents.*")
    accumulator = EventAccumulator(str(events.parent))
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("loss")] == [0, 1]
    assert {"native", "loss"} <= set(accumulator.Tags()["scalars"])
    assert accumulator.Tags()["images"] == ["picture"]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("project").experiment_id])
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [0, 1]
    assert (tmp_path / "checkpoint" / "random_1.pt").exists()


FAILING = """
import sys, time
from pathlib import Path
from accel_track import Accelerator
from accel_track.testing import RecordingTracker

class Slow(RecordingTracker):
    def finish(self):
        time.sleep(3)
        Path(sys.argv[1], "told").write_text(f"{self.outcome.status}, {self.outcome.reason}")

accelerator = Accelerator(log_with=Slow(), project_dir=sys.argv[1], cpu=True)
accelerator.init_trackers("p")
accelerator.wait_for_everyone()
raise ValueError("planned")
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_failure_of_all_ranks_is_told_although_torchrun_ends_them_after_the_first(tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    done = torchrun(script, tmp_path)
    assert done.returncode != 0
    assert (tmp_path / "told").read_text() == "failed, ValueError: planned", done.stderr
