"""Media in other forms: conversions, cells of all types, sound of all shapes, and the arguments of the calls."""

import json
import math
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from accel_track import media
from accel_track.media import sound, tables
from accel_track.media.bundles import Bundle, Bundles
from accel_track.media.calls import MediaCalls
from accel_track.media.fallbacks import converted, stored
from accel_track.media.kinds import medium_of
from tests.support.figures import PLOT, figure

FRAMES = np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in (0, 128, 255)])

# -- conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [[3, 0, 5, 1], [1] * 300, [0, 0]])
def test_a_histogram_as_an_image_a_table_and_a_file(tmp_path: Path, counts: list[int]) -> None:
    given = stored(media.Histogram(counts=counts, edges=list(range(len(counts) + 1))), tmp_path)
    picture = converted(given, "image", tmp_path)
    assert isinstance(picture, media.Image)
    blue = (picture.array() == (0x44, 0x77, 0xAA)).all(axis=-1)
    assert blue.any() == any(counts)
    table = converted(given, "table", tmp_path)
    assert isinstance(table, media.Table)
    assert table.columns == ["from", "to", "count"]
    assert [row[2] for row in table.rows] == counts
    assert json.loads(converted(given, "file", tmp_path).data())["counts"] == counts


def test_others_as_images_tables_texts_and_files(tmp_path: Path) -> None:
    video = converted(stored(media.Video(FRAMES, 5, "c"), tmp_path), "image", tmp_path)
    assert isinstance(video, media.Image)
    assert video.caption == "c"
    table = stored(media.Table([[1, "a|b"]], ["n", "text"]), tmp_path)
    text = converted(table, "text", tmp_path)
    assert isinstance(text, media.Text)
    assert text.text == "| n | text |\n| --- | --- |\n| 1 | a\\|b |"
    file = converted(table, "file", tmp_path)
    assert file.data() == b"n,text\n1,a|b\n"
    assert converted(file, "file", tmp_path) is file
    matrix = stored(media.ConfusionMatrix(matrix=[[1, 2], [3, 4]], labels=["a", "b"]), tmp_path)
    assert converted(matrix, "file", tmp_path).data() == b"target,predicted a,predicted b\na,1,2\nb,3,4\n"
    assert isinstance(converted(matrix, "image", tmp_path), media.Image)
    with pytest.raises(ValueError, match="a table cannot be stored as a image"):
        converted(table, "image", tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"mp4")
    with pytest.raises(ValueError, match="a video cannot be stored as a image"):
        converted(stored(media.Video(tmp_path / "a.mp4"), tmp_path), "image", tmp_path)
    assert stored(table, tmp_path) is table


# -- tables -----------------------------------------------------------------------------------------------------------


def test_cells_of_all_types() -> None:
    class Own(float):
        pass

    row = [1, True, None, "x", np.float32(0.5), np.int64(3), torch.tensor(2), date(2026, 1, 2), pd.NaT, pd.NA, b"\xffa"]
    row += [Own(1.5), Decimal("1.5"), timedelta(seconds=1), [1, 2]]
    (cells,) = tables.plain_cells([row])
    assert cells[:9] == [1, True, None, "x", 0.5, 3, 2, "2026-01-02", None]
    assert cells[9:] == [None, "\ufffda", 1.5, "1.5", "0:00:01", "[1, 2]"]
    assert type(cells[11]) is float


@pytest.mark.parametrize("cell", [math.nan, math.inf, -math.inf, 2**70, 1.5, "ü", None, True, 1e308], ids=repr)
def test_json_of_a_table_gives_the_cells_back(cell: Any) -> None:
    for row in ([cell], [cell, cell], [cell, "text", 1], [1e308, 1e308, cell]):
        back = json.loads(tables.as_json(["c"] * len(row), [row]))["data"]
        assert repr(back) == repr([row])


@pytest.mark.parametrize("more", [[], [math.nan]], ids=["finite", "NaN"])
def test_half_a_surrogate_pair_in_a_table_is_a_text_that_backends_take(more: list[float]) -> None:
    found = json.loads(tables.as_json(["a\udce9", "b"], [["\ud800", "ü"], *[[one, one] for one in more]]))
    assert found["columns"] == ["a\\udce9", "b"]
    assert found["data"][0] == ["\\ud800", "ü"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("abc", "a table is a list of rows; got str."),
        (5, "a table is a list of rows; got int."),
        ([1, 2], "row 0 of a table is a list of cells; got int."),
        ([[1, 2], "ab"], "row 1 of a table is a list of cells; got str."),
        ([[1], {"a": 1}], "row 1 of a table is a list of cells; got dict."),
        ({"a": 1}, "column 'a' of a table is a list of cells; got int."),
        ({"a": {"x": 1}}, "column 'a' of a table is a list of cells; got dict."),
        ({"a": [1], "b": [1, 2]}, "`log_table` got columns of different lengths, {'a': 1, 'b': 2}; make them equal."),
    ],
)
def test_what_is_no_table(data: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        tables.rows(None, data)
    assert str(caught.value) == message


def test_rows_of_dictionaries_series_and_arrow() -> None:
    assert tables.rows(None, {"a": [1, 2], "b": ["x", "y"]}) == (["a", "b"], [[1, "x"], [2, "y"]])
    records = [{"a": 1, "b": "x"}, {"b": "y", "c": 2}]
    assert tables.rows(None, records) == (["a", "b", "c"], [[1, "x", None], [None, "y", 2]])
    assert tables.rows(["c", "a"], records) == (["c", "a"], [[None, 1], [2, None]])
    assert tables.rows(None, pd.Series([1, 2], name="s")) == (["s"], [[1], [2]])
    assert tables.rows(None, None, pa.table({"a": [1, None]})) == (["a"], [[1], [None]])
    assert tables.rows(None, np.eye(2)) == (["0", "1"], [[1.0, 0.0], [0.0, 1.0]])
    assert tables.markdown(["a"], [["x\ny"], [None]]) == "| a |\n| --- |\n| x<br>y |\n|  |"


def test_frames_of_polars() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [date(2026, 1, 2), None], "d": [[1], []]})
    wanted = [[1, "x", "2026-01-02", "[1]"], [None, "y", None, "[]"]]
    for given in (frame, frame.lazy().collect()):
        found = medium_of(given)
        assert isinstance(found, media.Table)
        content = json.loads(found.content().data or b"")
        assert content["columns"] == ["a", "b", "c", "d"]
        assert content["data"] == wanted
    assert medium_of(frame["a"]) is None  # a series may be anything
    assert tables.rows(None, frame["a"]) == (["a"], [[1], [None]])


def test_figures_of_plotly() -> None:
    found = medium_of(figure())
    assert isinstance(found, media.Figure)
    content = found.content()
    assert content.suffix == ".plotly.json"
    assert json.loads(content.data or b"") == PLOT


# -- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0, 1, -1, 2, math.nan]), [[0], [32767], [-32767], [32767], [0]]),
        (np.array([1, -2], np.int16), [[1], [-2]]),
        (np.array([65536, -65536], np.int32), [[1], [-1]]),
        (np.zeros((2, 9)), [[0, 0]] * 9),
        (torch.zeros(9, 2), [[0, 0]] * 9),
    ],
)
def test_samples(samples: Any, expected: list[list[int]]) -> None:
    found, rate = sound.samples(sound.wav(samples, 8000))
    assert (found.tolist(), rate) == (expected, 8000)


@pytest.mark.parametrize(
    ("samples", "rate", "error"),
    [
        (np.zeros(3, np.uint8), 8000, TypeError),
        (np.zeros((3, 3, 3)), 8000, ValueError),
        (np.zeros((20, 20)), 8000, ValueError),
        (np.zeros(0), 8000, ValueError),
        (np.zeros(3), 0, ValueError),
        (np.zeros(3), 8000.5, ValueError),
        (["text"], 8000, TypeError),
    ],
)
def test_what_is_no_sound(samples: Any, rate: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        media.Audio(samples, rate).content()


# -- the calls --------------------------------------------------------------------------------------------------------


class Calls(MediaCalls):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        self.got.append((values, step, kwargs))

    def _log_artifact(self, path: Any, name: str | None, about: dict[str, Any]) -> None:
        self.got.append((Path(path).name, Path(path).read_bytes() if Path(path).is_file() else None, name, about))


def test_texts_and_tables_in_the_words_of_other_libraries() -> None:
    calls = Calls()
    calls.log_text("note", "a text", 1)
    calls.log_text({"a": "b"}, 2)
    calls.log_text(key="samples", columns=["c"], data=[["x"]])
    calls.log_text("samples", ["c"], data=[["x"]], step=4)
    calls.log_table(key="k", columns=["c"], data=[["x"]])
    calls.log_table(table_name="t", dataframe=pd.DataFrame({"a": [1]}), step=5, more=1)
    assert [list(values) for values, *_ in calls.got] == [["note"], ["a"], ["samples"], ["samples"], ["k"], ["t"]]
    assert [type(one) for values, *_ in calls.got for one in values.values()] == 2 * [media.Text] + 4 * [media.Table]
    assert [step for _, step, _ in calls.got] == [1, 2, None, 4, None, 5]
    assert calls.got[-1][2] == {"more": 1}
    for bad in (calls.log_text, calls.log_table):
        with pytest.raises(TypeError):
            bad()  # type: ignore[operator]
    with pytest.raises(TypeError):
        calls.log_audio("voice")


@pytest.mark.parametrize("form", [list, np.array, pd.Series, tuple])
def test_captions_of_labels_in_an_array(form: Any) -> None:
    """As of `names[predictions]`: an array has no truth, and would have ended the training."""
    calls = Calls()
    images = np.zeros((2, 3, 4, 4))
    calls.log_images({"batch": images, "list": list(images)}, captions=form(["cat", "dog"]))
    for name in ("batch", "list"):
        assert [one.caption for one in calls.got[0][0][name]] == ["cat", "dog"]
    assert media.Image(images[0], caption=np.array([1, 2])).caption == "[1 2]"  # type: ignore[arg-type]
    assert media.Image(images[0], caption="").info == {}


def test_calls_of_wandb_logger_by_name_and_by_place() -> None:
    calls = Calls()
    calls.log_audio(key="voice", audios=[np.zeros(3)], step=1, caption=["a"], sample_rate=[8000])
    calls.log_video(key="rollout", videos=[np.zeros((2, 4, 4, 3))], step=2, fps=[4])
    calls.log_text("samples", ["c"], [["x"]])  # the rows are the third argument
    assert [(list(values), step) for values, step, _ in calls.got] == [
        (["voice"], 1),
        (["rollout"], 2),
        (["samples"], None),
    ]
    assert type(calls.got[-1][0]["samples"]) is media.Table
    with pytest.raises(TypeError, match="give a dictionary of names to media, or a name and its media"):
        calls.log_audio()


def test_sounds_and_videos_of_one_name() -> None:
    calls = Calls()
    calls.log_audio("voice", [np.zeros(3), np.zeros(4)], 1, sample_rate=[8000, 16000], caption=["a", "b"])
    calls.log_video({"v": np.zeros((2, 3, 4, 4, 3))}, 2, fps=[4, 8], format=["gif"])
    (sounds, *_), (videos, *_) = calls.got
    assert [one.content().info for one in sounds["voice"]] == [
        {"caption": "a", "sample_rate": 8000},
        {"caption": "b", "sample_rate": 16000},
    ]
    assert [one.content().info["fps"] for one in videos["v"]] == [4, 8]


def test_models_and_folders(tmp_path: Path) -> None:
    calls = Calls()
    calls.log_model(torch.nn.Linear(1, 1), "net", metadata={"a": 1})
    (tmp_path / "m.bin").write_bytes(b"m")
    calls.log_model(tmp_path / "m.bin")
    calls.log_artifacts(tmp_path, "folder", type="data")
    names = [(one[0], one[2], one[3]["type"]) for one in calls.got]
    assert names == [("model.pt", "net", "model"), ("m.bin", "model", "model"), (tmp_path.name, "folder", "data")]
    with pytest.raises(TypeError, match="takes a path or a torch"):
        calls.log_model(3)
    with pytest.raises(NotADirectoryError):
        calls.log_artifacts(tmp_path / "m.bin")


# -- bundles ----------------------------------------------------------------------------------------------------------


def test_an_entry_that_cannot_be_written_whole_is_taken_back(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / ("a" * 16 + ".raw"))
    bundle.add("a" * 64 + ".png", b"one")

    size = bundle.path.stat().st_size
    with pytest.raises(TypeError):
        bundle.add("b" * 64 + ".png", b"two", None)  # type: ignore[arg-type]
    assert bundle.path.stat().st_size == size
    bundle.add("c" * 64 + ".png", b"three")
    bundle.close(durable=True)
    found = Bundles(tmp_path)
    assert [found.plain(letter * 64 + ".png") for letter in "abc"] == [b"one", None, b"three"]


def test_a_bundle_that_another_process_has_deleted_is_forgotten(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / ("a" * 16 + ".raw"))
    bundle.add("a" * 64 + ".png", b"one")
    bundle.close(durable=False)
    found = Bundles(tmp_path)
    assert dict(found.waiting()) == {"a" * 64 + ".png": 3}
    bundle.path.unlink()
    assert found.plain("a" * 64 + ".png") is None
    assert ("a" * 64 + ".png") not in found
