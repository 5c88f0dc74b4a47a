"""The files that a source names, and the media that they are."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from accel_track import media
from accel_track.media.fallbacks import converted, stored
from accel_track.trackers.reading.copies import copied
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import medium_of_file, text_of
from accel_track.trackers.reading.places import file_within
from accel_track.trackers.reading.walks import walked


def test_a_medium_is_what_was_made_into_a_file(tmp_path: Path) -> None:
    """As trackers make one where a backend has nothing better."""
    for given in (
        media.Table([[1, 0.5, "a"], [2, -1.5, 'ü, "x"\n1e5']], ["n", "x", "text"]),
        media.Histogram(counts=[1, 2], edges=[0, 1, 2]),
        media.Points3D(np.arange(6.0).reshape(2, 3)),
        media.Html("<b>ü</b>"),
        media.Text("# ü"),
    ):  # fmt: skip
        file = converted(stored(given, tmp_path / "kept"), "file", tmp_path / "kept")
        assert file.path is not None
        found = medium_of_file(file.path)
        assert type(found) is type(given)
        assert _what(stored(found, tmp_path / "again")) == _what(stored(given, tmp_path / "kept")), given.kind


def _what(medium: Any) -> Any:
    return (medium.columns, medium.rows) if isinstance(medium, media.Table) else medium.data()


def test_media_by_suffix(tmp_path: Path) -> None:
    picture = Pil.new("RGB", (4, 4))
    for name in ("a.png", "b.jpg", "c.bmp", "still.gif"):
        picture.save(tmp_path / name)
    picture.save(tmp_path / "moving.gif", save_all=True, append_images=[Pil.new("RGB", (4, 4), "red")])
    for name in ("a.wav", "a.mp4", "a.plotly.json"):
        (tmp_path / name).write_bytes(b"{}")
    kinds = {one.name: type(medium_of_file(one, "c")) for one in tmp_path.iterdir() if one.is_file()}
    assert kinds == {
        "a.png": media.Image, "b.jpg": media.Image, "c.bmp": media.Image, "still.gif": media.Image,
        "moving.gif": media.Video, "a.wav": media.Audio, "a.mp4": media.Video, "a.plotly.json": media.Figure,
    }  # fmt: skip
    found = medium_of_file(tmp_path / "a.png", "c")
    assert found is not None
    assert found.caption == "c"


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.csv", "a.json", "a.npy", "a.bin", "a", "gone.png", "gone.txt"])
def test_what_is_none(name: str, tmp_path: Path) -> None:
    """Also a file that says to hold a trillion numbers, or objects of Python's."""
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(b"a,b\n1" if name == "a.csv" else b'{"counts": [1]}')
    if name == "a.npy":
        np.save(tmp_path / name, np.array([{}], object), allow_pickle=True)
        assert medium_of_file(tmp_path / name) is None
        np.save(tmp_path / name, np.zeros((2, 3), np.float32))
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data.replace(b"(2, 3), }          ", b"(2000000000000, 3)}"))
    found = medium_of_file(tmp_path / name)
    assert found is None or (name == "a.csv" and stored(found, tmp_path).rows == [])  # type: ignore[attr-defined]


def test_names_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "given"
    file.write_text("x")
    assert copied(file, tmp_path / "to", "deep/name.txt").read_text() == "x"
    for name in ("", "..", "../up", "a/../../up", "/abs", "a\0b"):
        with pytest.raises(LostError, match="leads out"):
            copied(file, tmp_path / "to", name)
    with pytest.raises(LostError, match="cannot be read"):
        copied(tmp_path / "gone", tmp_path / "to", "x")

    def other(*_: Any) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", other)
    assert copied(file, tmp_path / "to", "copy").read_text() == "x"

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="full"):
        copied(file, tmp_path / "to", "another")


def test_files_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("a")
    (tmp_path / "out").write_text("out")
    (folder / "to-out").symlink_to(tmp_path / "out")
    (folder / "to-a").symlink_to("deep/a")
    (folder / "circle").symlink_to("circle")
    assert file_within("deep/a", folder).read_text() == file_within("to-a", folder).read_text() == "a"
    for path, why in {
        "to-out": "outside", "../out": "outside", "deep/../deep/a": "outside", str(tmp_path / "out"): "outside",
        "circle": "not there", "gone": "not there", "a\0": "not there", "deep": "is none", "": "is none",
    }.items():  # fmt: skip
        with pytest.raises(LostError, match=why):
            file_within(path, folder)
    with pytest.raises(LostError, match="not there"):
        file_within("a", tmp_path / "nowhere")


def test_a_quick_look_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").touch()
    assert len(list(walked(tmp_path, quick=True))) == 22
    monkeypatch.setattr("accel_track.trackers.reading.walks._QUICK", 10)
    assert len(list(walked(tmp_path, quick=True))) < 10
    assert len(list(walked(tmp_path, quick=False))) == 22


def test_long_texts_are_media() -> None:
    assert text_of("short") == "short"
    assert isinstance(text_of("x" * 100_000), media.Text)
    assert json.loads(json.dumps(text_of("x"))) == "x"
