"""The values that Trackio and SwanLab store, as what was logged."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import trackio

from accel_track import media
from accel_track.media.fallbacks import stored
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.swanlab.stored import medium_of
from accel_track.trackers.trackio.stored import logged


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1, 1), ("text", "text"), ("-Infinity", -np.inf), ([1, "Infinity"], [1, np.inf]), (True, True),
        ({"a": {"b": "Infinity"}}, {"a": {"b": np.inf}}),
    ],
)  # fmt: skip
def test_trackios_plain_values(value: Any, wanted: Any, tmp_path: Path) -> None:
    assert logged(value, tmp_path) == wanted


@pytest.mark.parametrize(
    "value",
    [
        None, [], [{}], [None], {"_type": "trackio.trace"}, {"_type": ["x"]}, {"_type": "trackio.image"},
        {"_type": "trackio.table"}, {"_type": "trackio.table", "_value": 7}, {"_type": "trackio.markdown", "_value": 7},
        {"_type": "trackio.histogram", "values": [1], "bins": [1]}, {"_type": "trackio.image", "file_path": None},
        {"_type": "trackio.histogram", "values": [], "bins": []},
    ],
)  # fmt: skip
def test_trackios_values_that_are_none(value: Any, tmp_path: Path) -> None:
    with pytest.raises(LostError):
        logged(value, tmp_path)


def test_trackios_tables(tmp_path: Path) -> None:
    """Rows may have other columns each; a medium in a cell is a text."""
    picture = {"_type": "trackio.image", "file_path": "x.png"}
    table = logged({"_type": "trackio.table", "_value": [{"a": 1, "b": "NaN"}, {"c": picture}]}, tmp_path)
    columns, ((one, nan, none), (*_, cell)) = table.columns, table.rows
    assert (columns, one, none, str(nan)) == (["a", "b", "c"], 1, None, "nan")
    assert json.loads(cell) == picture


@pytest.mark.parametrize("width", [3, 4, 6])
def test_trackios_points(width: int, tmp_path: Path) -> None:
    """Those that a model's file is made of are points again, in as many columns."""
    given = np.arange(1.0, 2 * width + 1).reshape(2, width)
    path = tmp_path / "points.ply"
    trackio.Object3D(given)._save_media(path)
    value = {"_type": "trackio.object3d", "file_path": path.name, "caption": "c"}
    points = logged(value, tmp_path)
    assert np.array_equal(stored(points, tmp_path / "kept").array(), given)
    assert points.caption == "c"
    path.write_bytes(path.read_bytes()[:-1])
    assert logged(value, tmp_path) == path.resolve()


class Item(NamedTuple):
    filename: str
    caption: str = ""
    size: int = 0


SCENE = {"points": [[0.0, 1, 2, 0, 255, 0]], "boxes": []}


@pytest.mark.parametrize(
    ("name", "kind", "content", "wanted"),
    [
        ("a.pts.json", "object3d", SCENE, media.Points3D),
        ("a.pts.json", "object3d", {**SCENE, "boxes": [1]}, None),
        ("a.glb", "object3d", {}, None),
        ("a.json", "echarts", {"series": [{"type": "pie"}]}, None),
        ("a.json", "echarts", {"series": [{"type": "bar", "data": [1]}], "xAxis": [{"data": ["x"]}]}, None),
        ("a.json", "echarts", {"series": [{"type": "bar", "data": [1, 2]}], "xAxis": [{"data": ["0 to 1", "2 to 3"]}]}, None),
        ("a.json", "echarts", {"series": [{"type": "bar", "data": [1]}], "xAxis": [{"data": ["0 to 1"]}]}, media.Histogram),
        ("a.json", "echarts",
         {"series": [{"type": "heatmap", "data": [[0, 0, 5]]}], "xAxis": [{"data": ["a"]}], "yAxis": [{"data": ["b"]}]}, None),
        ("a.json", "molecule", {}, None),
    ],
)  # fmt: skip
def test_swanlabs_media(name: str, kind: str, content: Any, wanted: type | None, tmp_path: Path) -> None:
    """What there is nothing of its kind for is a file."""
    file = tmp_path / kind / name
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    found = medium_of(tmp_path, kind, Item(name))
    assert found == file.resolve() if wanted is None else isinstance(found, wanted)
    with pytest.raises(LostError, match="cut off"):
        medium_of(tmp_path, kind, Item(name, size=10_000))


@pytest.mark.parametrize(
    "content", ["", "7", "[]", '{"points": 1}', '{"series": [{"type": "heatmap"}]}', '{"_swanLab": "table"}']
)
@pytest.mark.parametrize(("kind", "name"), [("echarts", "a.json"), ("object3d", "a.pts.json")])
def test_swanlabs_media_that_are_damaged(kind: str, name: str, content: str, tmp_path: Path) -> None:
    """They are counted, or are files."""
    file = tmp_path / kind / name
    file.parent.mkdir()
    file.write_text(content)
    try:
        assert medium_of(tmp_path, kind, Item(name)) == file.resolve()
    except LostError as error:
        assert "damaged" in str(error)  # noqa: PT017 - either is fine
