"""JSON lines, read back with Python's own reader."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accel_track
from accel_track import media
from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.media.fallbacks import stored
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
        again = JsonlTracker(logging_dir=tmp_path, **tracker.identity())
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
        again = JsonlTracker(logging_dir=tmp_path, **tracker.identity())
        again.start()
        again.log_batch([Metrics(seq, 1.7e9, {"loss": 0.5}, seq) for seq in range(2, 5)])
        found = path.read_text().splitlines()
        assert found.pop(3) == "somebody else"
        assert [json.loads(line)["seq"] for line in found] == list(range(5))

    def test_a_folder_that_somebody_deletes(self, tmp_path: Path) -> None:
        """It is made again, whatever comes next; deleted lines stay so."""
        tracker, file = self.make(tmp_path), tmp_path / "file.txt"
        file.write_text("x")
        tracker.start()
        for step, call in enumerate(
            (
                lambda: tracker.store_init_configuration({"lr": 0.1}),
                lambda: tracker.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1),
                lambda: tracker.log_artifact(file),
                lambda: tracker.rewind(1),
                lambda: None,
            )
        ):
            shutil.rmtree(tmp_path / "run")
            call()
            tracker.log({"m": 1.0}, step=step)
            assert lines(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == step

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

    def test_media_in_lines(self, tmp_path: Path) -> None:
        """What is small is in the line, and files are named by what is in them, once for equal ones."""
        tracker = self.make(tmp_path)
        tracker.start()
        image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
        tracker.log_images({"in/one": image, "several": [image, image]}, step=1, captions="c")
        tracker.log_histogram({"h": [1, 2, 3]}, step=1, bins=2)
        with pytest.warns(AccelTrackWarning, match="'array' is an array of 9 numbers"):
            tracker.log({"array": np.arange(9)}, step=1)
        tracker.log_text({"short": "*ü*", "long": "x" * 100_000}, step=1)
        one, histogram, array, texts = lines(tracker.tracker)
        about = one["in/one"]
        assert one["several"] == [about, about]
        assert about.items() >= {"_type": "image", "caption": "c", "file": f"media/{about['sha256']}.png"}.items()
        assert (histogram["h"]["counts"], histogram["h"]["_type"]) == ([1, 2], "histogram")
        assert sum(array["array"]["counts"]) == 9
        assert texts["short"] == {"_type": "text", "text": "*ü*"}
        names = {path.name for path in (tmp_path / "run" / "media").iterdir()}
        assert names == {f"{about['sha256']}.png", f"{texts['long']['sha256']}.md"}
        with pytest.raises(TypeError, match="nonsense"):
            tracker.log_images({"one": image}, nonsense=1)

    @pytest.mark.parametrize("links", [True, False])
    def test_files_of_media(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
        """They are links to the journal's, or copies where there are no links, as readable as the lines."""

        def refused(*_: Any) -> None:
            raise OSError(18, "another file system")

        medium = stored(media.Html("<b>"), tmp_path / "kept")
        assert medium.path is not None
        tracker = self.make(tmp_path)
        tracker.start()
        if not links:
            monkeypatch.setattr(os, "link", refused)
        records = [Metrics(seq, 1.7e9, {"page": medium}, seq) for seq in range(2)]
        tracker.log_batch(records)
        tracker.log_batch(records)
        (file,) = (tmp_path / "run" / "media").iterdir()
        assert (file.stat().st_ino == medium.path.stat().st_ino) is links
        assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(tracker.tracker.stat().st_mode)
        assert len(lines(tracker.tracker)) == 2

    def test_a_file_that_there_is_no_room_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No line says that it is there, and none of its batch is stored twice."""
        calls = [{"loss": 0.5}, {"page": stored(media.Html("<b>"), tmp_path / "kept")}]
        records = [Metrics(seq, 1.7e9, values, seq) for seq, values in enumerate(calls)]
        tracker = self.make(tmp_path)
        tracker.start()
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left on device")))
            with pytest.raises(OSError, match="no space"):
                tracker.log_batch(records)
        assert lines(tracker.tracker) == []
        assert list((tmp_path / "run" / "media").iterdir()) == []
        tracker.log_batch(records)
        assert [line["seq"] for line in lines(tracker.tracker)] == [0, 1]

    def test_artifacts(self, tmp_path: Path) -> None:
        """None is replaced; what is delivered again, also behind a crash, is there once; each name has its own place."""
        folder = tmp_path / "given"
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "a.txt").write_text("a")
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.record_time = 1.7e9
        for text in ("a", "b", "a"):
            (folder / "in" / "a.txt").write_text(text)
            tracker.log_artifact(folder, "data", type="dataset", metadata={"rows": 3, "nan": float("nan")}, step=2)
        leftover = tmp_path / "run" / "artifacts" / "data-3" / "half"
        leftover.mkdir(parents=True)
        (folder / "in" / "a.txt").write_text("c")
        tracker.log_artifact(folder, "data")
        names = ["", ".", "..", "../../up", "/abs", "a/b", "a~b", "a_b", "a\0b", "x" * 400, "\udce9", "data-2", ".new"]
        for name in names:
            tracker.log_model(folder / "in" / "a.txt", name)
        index = json.loads((tmp_path / "run" / "artifacts.json").read_text())
        contents = {
            place: (tmp_path / "run" / "artifacts" / place / "in" / "a.txt") for place in ("data", "data-2", "data-3")
        }
        assert [file.read_text() for file in contents.values()] == ["a", "b", "c"]
        about = {"name": "data", "type": "dataset", "step": 2, "time": 1.7e9, "metadata": {"rows": 3, "nan": None}}
        assert index["data"].items() >= about.items()
        assert not leftover.exists()
        places = list((tmp_path / "run" / "artifacts").iterdir())
        assert {one.name for one in places} == index.keys()
        assert len(places) == 3 + len(names)
        assert {one.name for one in tmp_path.iterdir()} == {"cwd", "given", "run"}


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
