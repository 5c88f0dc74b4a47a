"""What docs/delivery.md and docs/verifying.md show is what is printed, but for numbers and ids."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from accel_track.testing import RecordingTracker
from tests.support.waiting import until

DOCS = Path(__file__).parents[2] / "docs"


def shown(page: str, begin: str) -> str:
    """Return the block of a page that begins so."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```text\n({re.escape(begin)}.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def masked(text: str) -> str:
    """Return a text with other numbers and ids."""
    return re.sub(r"\d[\d,]*", "N", re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "ID", text))


class There(RecordingTracker):
    name = "tensorboard"


class Gone(RecordingTracker):
    name = "mlflow"

    def start(self) -> None:
        raise ConnectionError("connection refused")

    def is_transient(self, error: BaseException) -> bool:
        return True


@pytest.mark.filterwarnings("ignore:mlflow")
def test_the_report_at_the_end(capfd: Any) -> None:
    there = There()
    with accel_track.init("demo", [there, Gone()], project_dir="runs", finish_timeout=2.0) as run:
        for step in range(1500):
            run.log({"loss": 1.0}, step)
        until(lambda: sum(call[0] == "log" for call in there.calls) == 1500)
    assert masked(capfd.readouterr().err) == masked(shown("delivery.md", "accel_track: "))


def test_a_receipt() -> None:
    Path("weights.bin").write_bytes(b"weights")
    with accel_track.init("p", "jsonl", project_dir="runs", run_name="r", config={"lr": 0.1, "layers": 3}) as run:
        run.log_images({"sample": np.zeros((4, 4, 3), np.uint8)}, 0)
        run.log_artifact("weights.bin")
        for step in range(901):
            run.log({"train": {"loss": 1.0, "acc": 0.5}, "lr": 0.1}, step)
    (file,) = Path("runs").glob("p/r/metrics.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")
    printed = CliRunner().invoke(app, ["verify", "latest", "--against", "jsonl"]).stdout
    expected = shown("verifying.md", "mlflow: ").replace("mlflow", "jsonl")
    assert masked(expected) in masked(printed), printed
