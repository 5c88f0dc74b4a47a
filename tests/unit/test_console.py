"""The table on the terminal, as a terminal of 80 columns has it."""

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import accel_track
from accel_track.errors import AccelTrackWarning
from accel_track.trackers.console import ConsoleTracker


def shown(tracker: ConsoleTracker) -> list[list[str]]:
    """Return the rows of all tables, and other lines."""
    text = tracker.tracker.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "━" not in line]


def rows(tracker: ConsoleTracker) -> dict[str, list[str]]:
    """Return the last row of each metric."""
    return {row[0]: row[1:] for row in shown(tracker) if len(row) == 6}


def make(**arguments: Any) -> ConsoleTracker:
    tracker = ConsoleTracker("digits/one", **arguments)
    tracker._console = Console(file=io.StringIO(), width=80)
    tracker.start()
    return tracker


def test_the_last_values_with_their_bounds() -> None:
    tracker = make()
    for step in range(100):
        tracker.log({"train": {"loss": math.exp(-step / 20)}, "note": f"[bold]step {step}", "flat": 1}, step=step)
    assert shown(tracker) == [], "not before it is time"
    tracker.finish()
    found = rows(tracker)
    assert found["train/loss"][:4] == ["99", "0.0070834", "0.0070834", "1"]
    assert found["train/loss"][4] == "█▇▆▆▅▄▄▃▃▂▁▁"
    assert found["flat"][4] == "▄" * 12
    assert found["note"] == ["99", "[bold]step 99", "", "", ""]
    assert shown(tracker)[0] == ["digits/one"]
    before = shown(tracker)
    tracker.flush()
    tracker.finish()
    assert shown(tracker) == before, "nothing new"


def test_it_is_shown_now_and_then() -> None:
    tracker = make(every=0.0)
    for step in range(3):
        tracker.log({"loss": step}, step=step)
    assert sum(row[0] == "loss" for row in shown(tracker)) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**70, True, "a\x1b[31m\nb", "[red]", "x" * 500])
def test_odd_values(value: Any) -> None:
    tracker = make(every=0.0)
    tracker.log({"odd\x1b[2J[/]": value, "one": 1.0})
    tracker.log({"odd\x1b[2J[/]": 1e308, "one": -1e308})
    tracker.log({"odd\x1b[2J[/]": value, "one": 1e308})
    assert "\x1b" not in tracker.tracker.file.getvalue()
    assert rows(tracker)["odd[/]"][0] == ""


def test_more_metrics_than_rows() -> None:
    tracker = make(rows=3)
    tracker.log({f"m{number}": number for number in range(10)}, step=0)
    tracker.log({"m0": 1.0}, step=1)
    tracker.finish()
    assert [row[0] for row in shown(tracker) if len(row) == 6] == ["m0", "m8", "m9"]
    assert ["and 7 more"] in shown(tracker)


def test_what_is_no_value_is_counted() -> None:
    tracker = make()
    with pytest.warns(AccelTrackWarning, match="'thing'"):
        tracker.log({"thing": object(), "loss": 0.5}, step=0)
    assert tracker.dropped == {"thing": 1}


def test_a_long_text_or_number_leaves_names_their_room() -> None:
    tracker = make()
    tracker.log({"sample": "x" * 500, "factorial": 10**300, "loss": 0.5}, step=1)
    tracker.finish()
    found = rows(tracker)
    assert found["sample"][1] == "x" * 24 + "…"
    assert found["factorial"][1] == "1e+300"
    assert found["loss"][:2] == ["1", "0.5"]


def test_media_are_told_below_the_table(tmp_path: Path) -> None:
    tracker = make()
    pixels = np.zeros((4, 4), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(3):
            tracker.log_images({"one": pixels, "two": [pixels, pixels]}, step=step)
        tracker.log_confusion_matrix("matrix", [0, 1], [0, 1])
        tracker.log_confusion_matrix("matrix", [0, 1], [0, 1])
        tracker.log_audio({"voice": np.zeros(10, np.float32)}, sample_rate=8000)
        tracker.log_text({"note": "# Title\n" + "x" * 10_000}, step=7)
        tracker.log_artifact(tmp_path, "data")
        tracker.log_artifact(tmp_path, type="model")
    tracker.finish()
    found = [" ".join(row) for row in shown(tracker)]
    said = "not shown: 9 images, 2 confusion matrices, 1 sound, 1 artifact, 1 model"
    assert said in " ".join(found[-3:])
    assert rows(tracker)["note"][0] == "7"
    assert sum(row.count("x") for row in found if "x" * 10 in row) < 40
    assert tracker.dropped == {"one": 3, "two": 3, "matrix": 2, "voice": 1, "data": 1, tmp_path.name: 1}
    assert {kind for kind, way in tracker.media.items() if way.how != "none"} == {"text"}


@pytest.mark.parametrize("delivery", ["thread", "process", "inline"])
def test_through_a_front_door(delivery: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with accel_track.init("digits", "console", run_name="one", delivery=delivery) as run:
        run.log({"loss": 0.25}, step=3)
    said = capfd.readouterr().err
    assert "digits/one" in said
    assert "0.25" in said


def test_off_the_main_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    tracker = ConsoleTracker("digits")
    tracker.start()
    tracker.log({"loss": 1.0})
    tracker.tracker.print("nothing")
    tracker.finish()
