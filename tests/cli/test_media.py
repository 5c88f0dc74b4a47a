"""Media and artifacts in the commands: checked, exported, shown, and deleted with their run."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from pyarrow import parquet

from accel_track import media
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.media.folder import RAW

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)


@pytest.fixture
def logged(start: Any) -> RunDirectory:
    """Return a run with media of some kinds, and artifacts in its folder and outside."""
    Path("data").mkdir()
    Path("data/a.txt").write_text("one")
    run = start()
    run.log({"loss": 0.5, "val/image": media.Image(PIXELS, "noise")}, 1)
    run.log_images({"val/image": PIXELS[::-1].copy()}, 2)
    run.log_images({"../up": [PIXELS, PIXELS]}, 2)
    run.log({"nested": {"numbers": media.Histogram([1.0, 2.0], 2), "note": media.Text("# hello")}}, 3)
    run.log_table("table", ["a"], [[1]])
    run.log_artifact("data", "kept", type="dataset")
    run.log_artifact("data/a.txt", "outside", copy=False)
    run.finish()
    (found,) = find_runs("runs")
    return found


def test_everything_is_there(logged: RunDirectory, invoke: Any) -> None:
    told = json.loads(invoke("verify", logged.path, "--json").stdout)
    assert (told["ok"], told["ranks"][0]["media_files"], told["ranks"][0]["artifacts"]) == (True, 3, 2)
    assert "everything is there and undamaged" in invoke("verify", logged.path).stdout


def test_damage_to_media_is_found(logged: RunDirectory, invoke: Any) -> None:
    folder = logged.rank() / "media"
    first, second = sorted(folder.glob("*.png"))
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    kept = next(folder.rglob("a.txt"))
    kept.write_text("two")
    told = invoke("verify", logged.path, code=1).stdout
    assert f"rank 0: media/{first.name}: its bytes are not what was stored" in told
    assert f"rank 0: media/{second.name}: it is missing" in told
    assert f"rank 0: the artifact 'kept', media/{kept.parent.parent.name}/data: a.txt has changed" in told
    kept.unlink()
    assert "other files are there than were logged" in invoke("verify", logged.path, code=1).stdout


def test_what_is_elsewhere_is_told_and_no_damage(logged: RunDirectory, invoke: Any) -> None:
    Path("data/a.txt").write_text("two")
    assert "the artifact 'outside', " in (told := invoke("verify", logged.path).stdout)
    assert "it has changed" in told
    assert "everything is there and undamaged" in told


def test_a_table_with_the_paths_of_files(logged: RunDirectory, invoke: Any) -> None:
    Path("out").mkdir()
    arguments = ("--format", "csv", "--output", "out/run.csv", "--media", "out/run.media", "--json")
    told = json.loads(invoke("export", logged.path, *arguments).stdout)
    assert (told["media"], told["media_lacking"]) == (7, 0)
    rows = list(csv.DictReader(io.StringIO(Path("out/run.csv").read_text())))
    assert [(row["name"], row["step"], row["value"]) for row in rows] == [
        ("loss", "1", "0.5"),
        ("val/image", "1", "run.media/val/image/1.png"),
        ("val/image", "2", "run.media/val/image/2.png"),
        ("../up", "2", "run.media/_/up/2_0.png"),
        ("../up", "2", "run.media/_/up/2_1.png"),
        ("nested/numbers", "3", "run.media/nested/numbers/3.json"),
        ("nested/note", "3", "run.media/nested/note/3.md"),
        ("table", "", f"run.media/table/record-{rows[-1]['seq']}.csv"),
    ]
    assert np.array_equal(np.asarray(Pil.open("out/run.media/val/image/2.png")), PIXELS[::-1])
    assert Path("out/run.media/nested/note/3.md").read_text() == "# hello"
    assert Path("out", rows[-1]["value"]).read_text() == "a\n1\n"
    assert json.loads(Path("out/run.media/nested/numbers/3.json").read_text())["counts"] == [1, 1]
    assert {path.suffix for path in Path("out").rglob("*") if path.is_file()} == {".csv", ".png", ".json", ".md"}


def test_json_lines_and_parquet(logged: RunDirectory, invoke: Any) -> None:
    lines = [json.loads(line) for line in invoke("export", logged.path, "--format", "jsonl").stdout.splitlines()]
    image = lines[0]["values"]["val/image"]
    assert (image["medium"], image["info"]) == ("image", {"caption": "noise"})
    assert image["file"].endswith(".png")
    assert (lines[-2]["kind"], lines[-2]["name"], lines[-2]["type"]) == ("artifact", "kept", "dataset")
    arguments = ("--format", "jsonl", "--output", "run.jsonl", "--media", "m")
    invoke("export", logged.path, *arguments)
    lines = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert lines[0]["values"]["val/image"]["path"] == "m/val/image/1.png"
    assert [one["path"] for one in lines[2]["values"]["../up"]] == ["m/_/up/2_0.png", "m/_/up/2_1.png"]
    assert lines[3]["values"]["nested"]["note"]["path"] == "m/nested/note/3.md"
    invoke("export", logged.path, "--format", "parquet", "--output", "run.parquet", "--media", "p")
    assert parquet.read_table("run.parquet").to_pydict()["text"][1] == "p/val/image/1.png"


def test_what_is_left_out_is_told(logged: RunDirectory, invoke: Any) -> None:
    assert "7 media are left out; --media FOLDER writes them" in invoke("export", logged.path, "--format", "csv").stderr
    for path in (logged.rank() / "media").glob("*.png"):
        path.unlink()
    done = invoke("export", logged.path, "--format", "csv", "--media", "m", code=1)
    assert "4 media are missing or damaged" in done.stderr
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.parametrize("what", ["file", "full"])
def test_no_file_is_overwritten(what: str, logged: RunDirectory, invoke: Any) -> None:
    target = Path("m")
    if what == "file":
        target.touch()
    else:
        target.mkdir()
        (target / "mine").touch()
    assert "is there already" in invoke("export", logged.path, "--format", "csv", "--media", "m", code=2).stderr


def test_pixels_that_wait_and_names_that_differ_by_case(start: Any, invoke: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("accel_track.delivery.media.Encoding.begin", lambda *_: None)
    monkeypatch.setattr("accel_track.media.folder.MediaFolder.encode_next", lambda _: False)
    run = start()
    run.log({"A": media.Image(PIXELS), "a": media.Image(PIXELS[::-1].copy()), "a:": media.Image(PIXELS)}, 1)
    run.log({"a": media.Image(PIXELS)}, 1)
    run.finish()
    (found,) = find_runs("runs")
    assert list(found.path.rglob(f"*{RAW}"))
    invoke("verify", found.path)
    out = invoke("export", found.path, "--format", "csv", "--media", "m").stdout
    paths = [row["value"] for row in csv.DictReader(io.StringIO(out))]
    assert paths == ["m/A/1.png", "m/a/1-2.png", "m/a_/1.png", "m/a/1-3.png"]


def test_a_run_is_shown_with_its_media(logged: RunDirectory, invoke: Any) -> None:
    told = invoke("show", logged.path).stdout
    assert [line.split("│")[1:5] for line in told.splitlines() if "val/image" in line] == [
        [" val/image      ", " image     ", "      2 ", "         2 "]
    ]
    assert "outside" in told
    document = json.loads(invoke("show", logged.path, "--json").stdout)
    assert document["media"]["../up"]["count"] == 2
    assert document["media"]["nested/note"]["last"]["info"] == {"text": "# hello"}
    assert [(one["name"], one["files"], one["bytes"]) for one in document["artifacts"]] == [
        ("kept", 1, 3),
        ("outside", 1, 3),
    ]
    assert set(document["metrics"]) == {"loss"}
    invoke("ls", "runs")


def test_pruning_takes_what_is_in_the_run_directory_only(start: Any, invoke: Any) -> None:
    Path("data").mkdir()
    Path("data/a.txt").write_text("one")
    run = start("tensorboard", folder="runs")
    run.log_images({"image": PIXELS}, 1)
    run.log_artifact("data/a.txt", "kept", copy=True)
    run.log_artifact("data/a.txt", "outside", copy=False)
    run.finish()
    (logged,) = find_runs("runs")
    invoke("sync", logged.path)
    size = sum(path.stat().st_size for path in logged.path.rglob("*") if path.is_file())
    (told,) = json.loads(invoke("prune", "runs", "--older-than", "0", "--dry-run", "--json").stdout)
    assert (told["kept"], told["bytes"]) == (None, size)
    invoke("prune", "runs", "--older-than", "0", "--yes")
    assert not logged.path.exists()
    assert Path("data/a.txt").read_text() == "one"
    assert os.stat("data/a.txt").st_nlink == 1
