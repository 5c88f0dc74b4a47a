"""JSON lines, read back with Python's own reader."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import accel_track
from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.records import Metrics
from accel_track.trackers.jsonl import JsonlTracker
from tests.support.lives import live
from tests.support.readers.jsonl import JsonlContract, lines


class TestJsonl(JsonlContract):
    def test_names_of_ours(self, tmp_path: Path) -> None:
        values = {"step": 7, "_step": 8, "time": 9, "seq": 10, "steps": 11, "in": {"step": 12}}
        self.written(tmp_path, (values, 3))
        (line,) = lines(tmp_path / "run" / "metrics.jsonl")
        assert line.pop("time") > 1.7e9
        assert line == {
            "step": 3, "seq": None, "_step": 7, "__step": 8, "_time": 9, "_seq": 10, "steps": 11, "in/step": 12
        }  # fmt: skip

    def test_what_is_delivered_again_is_stored_once(self, tmp_path: Path) -> None:
        records = [Metrics(seq, 1.7e9 + seq, {"loss": seq / 8}, seq) for seq in range(10)]
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch(records[:6])
        again = JsonlTracker(**tracker.identity())
        again.start()
        again.log_batch(records[3:])
        again.log_batch(records[3:])
        assert [line["seq"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == list(range(10))

    def test_a_line_that_a_killed_process_was_writing(self, tmp_path: Path) -> None:
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch([Metrics(seq, 1.7e9, {"loss": 0.5}, seq) for seq in range(3)])
        path = tracker.tracker
        path.write_bytes(path.read_bytes() + b"somebody else\n" + path.read_bytes()[:20])
        again = JsonlTracker(**tracker.identity())
        again.start()
        again.log_batch([Metrics(seq, 1.7e9, {"loss": 0.5}, seq) for seq in range(2, 5)])
        found = path.read_text().splitlines()
        assert found.pop(3) == "somebody else"
        assert [json.loads(line)["seq"] for line in found] == list(range(5))

    def test_a_full_disk_leaves_whole_lines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(seq, 1.7e9, {"loss": 0.5}, seq) for seq in range(4)]
        tracker.log_batch(records[:1])
        write = os.write
        with monkeypatch.context() as patch:
            calls = iter([lambda file, data: write(file, bytes(data)[:30])])

            def full(file: int, data: Any) -> int:
                for call in calls:
                    return call(file, data)
                raise OSError(28, "no space left on device")

            patch.setattr(os, "write", full)
            with pytest.raises(OSError, match="no space"):
                tracker.log_batch(records[1:])
        tracker.log_batch(records[1:])
        assert [line["seq"] for line in lines(tracker.tracker)] == [0, 1, 2, 3]

    def test_two_runs_of_one_folder(self, tmp_path: Path) -> None:
        one, other = self.make(tmp_path), self.make(tmp_path)
        one.start()
        other.start()
        other.log({"loss": 2.0})
        one.log({"loss": 1.0})
        assert [line["loss"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == [1.0]
        assert [line["loss"] for line in lines(tmp_path / "run" / "metrics-2.jsonl")] == [2.0]
        one.finish()
        with pytest.raises(NotStartedError):
            one.log({"loss": 1.0})

    def test_other_arguments(self, tmp_path: Path) -> None:
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.raises(TypeError, match="epoch"):
            tracker.log({"loss": 0.5}, epoch=1)

    def test_rewinding_takes_lines_out(self, tmp_path: Path) -> None:
        tracker = self.make(tmp_path)
        tracker.start()
        for step in (0, 1, None, 2, 3):
            tracker.log({"loss": 0.5}, step=step)
        tracker.rewind(2)
        assert [line["step"] for line in lines(tracker.tracker)] == [0, 1, None]
        tracker.rewind(0)
        assert [line["step"] for line in lines(tracker.tracker)] == [None]


def test_continued_after_kill_9(tmp_path: Path) -> None:
    first, rest = [(step, step / 4) for step in range(5)], [(step, step / 4) for step in range(5, 9)]
    identity = live("jsonl", tmp_path, first, None, config={"lr": 0.1})
    assert live("jsonl", tmp_path, rest, config={"depth": 3}, **identity) == identity
    (path,) = tmp_path.rglob("*.jsonl")
    assert [(line["step"], line["loss"]) for line in lines(path)] == first + rest
    assert json.loads(path.with_name("config.json").read_text()) == {"lr": 0.1, "depth": 3}


def test_through_the_front_door_without_torch(tmp_path: Path) -> None:
    run = accel_track.init("digits", "jsonl", project_dir=tmp_path, run_name="one")
    with pytest.warns(AccelTrackWarning, match="'object'"), run:
        for step in range(3):
            run.log({"loss": step / 8, "object": object()}, step=step)
    assert [line["loss"] for line in lines(tmp_path / "digits" / "one" / "metrics.jsonl")] == [0.0, 0.125, 0.25]
