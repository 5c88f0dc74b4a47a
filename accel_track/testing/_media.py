"""Conformance: media, each as the tracker's table of ways says."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media.fallbacks import QUANTILES, converted, stored
from accel_track.media.ways import ALL, KINDS, Way
from accel_track.options import Settings
from accel_track.registry import Selected, TrackerName, select
from accel_track.run import Run
from accel_track.testing._backend import Backend, Bins, Columns, Readback, Seen

_STEP = 3
_HEIGHT, _WIDTH = 8, 6
_PIXELS = np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH, 3), np.uint8)
_FRAMES = np.stack([np.full((16, 16, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))])
_NUMBERS = np.linspace(-1, 2, 101)
_SOUND = np.sin(np.arange(800) / 10).astype(np.float32) / 2
_POINTS = np.random.default_rng(1).uniform(0, 200, (5, 6)).astype(np.float32)
_FILES = {"a.txt": b"one", "deep/b.bin": bytes(range(256))}

SAMPLES: Mapping[str, Callable[[], media.Medium]] = {
    "image": lambda: media.Image(_PIXELS, caption="noise"),
    "figure": lambda: media.Figure(_figure()),
    "table": lambda: media.Table([[1, 0.5, "a"], [2, 1.5, "ü | x"]], ["n", "x", "text"]),
    "histogram": lambda: media.Histogram(_NUMBERS, 10),
    "text": lambda: media.Text("# Title\n\n*ü*"),
    "audio": lambda: media.Audio(_SOUND, 8000),
    "video": lambda: media.Video(_FRAMES, 5),
    "html": lambda: media.Html("<b>ü</b>"),
    "points": lambda: media.Points3D(_POINTS),
    "confusion_matrix": lambda: media.ConfusionMatrix([0, 1, 1, 2], [0, 1, 2, 2], labels=["cat", "dog", "cow"]),
}
if importlib.util.find_spec("matplotlib") is None:
    SAMPLES = {kind: make for kind, make in SAMPLES.items() if kind != "figure"}
"""One medium of each kind, made anew; a figure only where Matplotlib is installed."""


def _figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=50)
    figure.add_axes((0, 0, 1, 1)).plot([0, 1], [1, 0])
    return figure


class MediaContract(Backend):
    """The contract of media: every kind, images in all their forms, what cannot be stored."""

    samples: ClassVar[Mapping[str, Callable[[], media.Medium]]] = SAMPLES
    """The functions that make one medium of each kind, by the kind's name."""

    @pytest.fixture(autouse=True)
    def _says_of_media(self, request: pytest.FixtureRequest) -> None:
        """Leave these tests out where a tracker declares nothing: it gets media as they are, among its values."""
        if request.function.__qualname__.startswith(MediaContract.__name__) and self.tracker_class.media is ALL:
            pytest.skip(f"{self.tracker_class.name} declares no media")

    def way(self, kind: str) -> Way:
        """Return the way of a kind."""
        return self.tracker_class.media[kind]

    def test_the_table_has_every_kind(self) -> None:
        """The tracker says of each kind what becomes of it."""
        assert set(self.tracker_class.media) >= set(KINDS) - {"artifact", "model"}

    def test_every_medium_through_the_journal(self, tmp_path: Path) -> None:
        """Each kind is read back as the table of ways says, with its values, or is counted as dropped."""
        run = self._run(tmp_path)
        files = write_files(tmp_path / "given")
        run.log({f"some/{kind}": make() for kind, make in SAMPLES.items()} | {"loss": 0.5}, step=_STEP)
        run.log_artifact(files / "a.txt", "an-artifact", type="dataset", metadata={"rows": 3})
        run.log_artifacts(files, "a-folder")
        run.log_model(files / "deep" / "b.bin", "a-model")
        (tracker,) = run.trackers
        run.finish()
        found, problems = self.read(tmp_path), []
        scratch = tmp_path / "scratch"
        names = {kind: f"some/{kind}" for kind in SAMPLES} | {"artifact": "an-artifact", "model": "a-model"}
        for kind, name in names.items():
            way = self.tracker_class.media.get(kind, Way("none", "it keeps none"))
            if way.how == "none":
                if tracker.dropped[name] != 1 or found.media.get(name):
                    problems.append(
                        f"{kind}: declared as none, dropped {tracker.dropped[name]}, {found.media.get(name)}"
                    )
            elif (problem := self._problem(kind, name, way, found, scratch)) is not None:
                problems.append(f"{kind}: {problem}")
        assert not problems, "\n".join(problems)
        assert self.points(found, "loss")[0][1] == pytest.approx(0.5)
        if self.tracker_class.media.get("artifact", Way("none", "")).how != "none":
            (folder,) = (seen.what for seen in found.media["a-folder"])
            assert folder == _FILES

    def _run(self, folder: Path) -> Run:
        cls = self.tracker_class
        selected = (
            select(TrackerName(cls.name), folder) if cls.name in _known() else [Selected(cls.name, self.make(folder))]
        )
        kwargs = {cls.name: self.init_kwargs(folder)} if cls.name in _known() else None
        settings = Settings.of(delivery="thread", finish_timeout=120.0)
        return Run(selected, project="media", name="media", directory=folder, init_kwargs=kwargs, settings=settings)

    def _problem(self, kind: str, name: str, way: Way, found: Readback, scratch: Path) -> str | None:
        if way.by == "quantiles":
            numbers = [found.metrics.get(self.stored_name(f"{name}/p{round(100 * one):02d}")) for one in QUANTILES]
            return None if all(numbers) else f"its quantiles are not there: {numbers}"
        seen = found.media.get(name, [])
        if len(seen) != 1:
            return f"{len(seen)} were found; there are {sorted(found.media)}"
        return difference(kind, way, seen[0], scratch)

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_pixels_stay_what_they_are(self, tmp_path: Path, channels: int) -> None:
        """Grey, RGB and RGBA images with little contrast, of integers and of floats from 0 to 1."""
        pixels = np.random.default_rng(channels).integers(100, 140, (_HEIGHT, _WIDTH, channels), np.uint8)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"bytes": pixels, "floats": (pixels / 255).astype(np.float32)}, step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        found = self.read(tmp_path).media
        if self.way("image").how == "none":
            return
        for name in ("bytes", "floats"):
            (seen,) = found[name]
            assert _same_pixels(seen.what, pixels), name

    def test_media_given_to_the_trackers_own_log(self, tmp_path: Path) -> None:
        """They are stored as those of a run are, and what is none costs nothing else."""
        tracker: Any = self.make(tmp_path)
        tracker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker.log({"one": media.Image(_PIXELS), "bad": media.Image(np.zeros((2, 3, 5))), "loss": 0.5}, step=0)
        tracker.finish()
        assert tracker.dropped["bad"] == 1
        found = self.read(tmp_path)
        assert self.points(found, "loss") == [(0, 0.5)]
        if self.way("image").how != "none":
            assert _same_pixels(found.media["one"][0].what, _PIXELS)

    def test_several_images_with_captions(self, tmp_path: Path) -> None:
        """A list of images, as arrays and tensors, channels first or last: all are stored, in their order."""
        tracker = self.make(tmp_path)
        tracker.start()
        several = [_PIXELS, torch.from_numpy(_PIXELS[::-1].copy()).permute(2, 0, 1)]
        tracker.log_images({"several": several}, step=0, captions={"several": ["one", "two"]})
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        if self.way("image").how == "none":
            return
        stored_images = self.read(tmp_path).media
        seen = stored_images.get("several") or [*stored_images["several/0"], *stored_images["several/1"]]
        assert _same_pixels(seen[0].what, _PIXELS)
        assert _same_pixels(seen[1].what, _PIXELS[::-1])
        assert {one.caption for one in seen} in ({"one", "two"}, {""})

    def test_what_is_no_image_is_counted(self, tmp_path: Path) -> None:
        """An impossible image is counted and warned about, and the others of the call are stored."""
        tracker: Any = self.make(tmp_path)
        tracker.start()
        values = {"odd": np.zeros((2, 3, 5)), "file": "no/such/file.png", "fine": np.ones((_HEIGHT, _WIDTH))}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker.log_images(values, step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        assert (tracker.dropped["odd"], tracker.dropped["file"]) == (1, 1)
        told = [str(one.message) for one in caught if one.category is AccelTrackWarning]
        assert any("no/such/file.png" in message for message in told)
        if self.way("image").how != "none":
            assert list(self.read(tmp_path).media) == ["fine"]

    def test_tables(self, tmp_path: Path) -> None:
        """A table given as columns and rows, or as a data frame, is stored."""
        pandas = pytest.importorskip("pandas")
        if self.way("table").how == "none":
            pytest.skip(f"{self.tracker_class.name} keeps no tables")
        tracker: Any = self.make(tmp_path)
        tracker.start()
        tracker.log_table("rows", columns=["a", "b"], data=[[1, "x"], [2, "y"]], step=0)
        tracker.log_table("frame", dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        found = self.read(tmp_path).media
        assert len(found["rows"]) == len(found["frame"]) == 1
        assert _plain(found["rows"][0].what) == _plain(found["frame"][0].what)


def _known() -> set[str]:
    from accel_track.registry import known_names

    return set(known_names())


def write_files(folder: Path) -> Path:
    for name, data in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def difference(kind: str, way: Way, seen: Seen, scratch: Path) -> str | None:
    """Return the difference between read and logged media; None if there is none."""
    if kind in ("artifact", "model"):
        wanted = _FILES["a.txt" if kind == "artifact" else "deep/b.bin"]
        return None if seen.what in (wanted, {"a.txt": wanted}, {"b.bin": wanted}) else f"other bytes: {seen.what!r}"
    given = stored(SAMPLES[kind](), scratch)
    forms = [given, *([converted(given, way.by, scratch)] if way.by and way.by != "quantiles" else [])]
    if any(_is(form, seen.what, scratch) for form in forms):
        return None
    return f"was not read back as one of {forms}, but as {str(seen.what)[:300]}"


def _is(given: media.Medium, what: Any, scratch: Path) -> bool:  # noqa: PLR0911 - one line per form
    if isinstance(what, np.ndarray) and what.dtype == np.uint8:
        return _same_pixels(what, _array(given))
    if isinstance(what, np.ndarray):
        return isinstance(given, media.Points3D) and np.allclose(_sorted(what), _sorted(given.array()), atol=1e-4)
    if isinstance(what, bytes):
        return hashlib.sha256(what).digest() in set(_digests(given, scratch))
    if isinstance(what, Columns):
        table = given if isinstance(given, media.Table) else None
        if isinstance(given, (media.Histogram, media.ConfusionMatrix)):
            table = cast("media.Table", converted(given, "table", scratch))
        return table is not None and _plain(what) == _plain(Columns(table.columns, table.rows))
    if isinstance(what, Bins):
        if not isinstance(given, media.Histogram):
            return False
        same = np.allclose(what.counts, given.counts)
        return same and (what.edges is None or np.allclose(what.edges, given.edges, atol=1e-6))
    text = given.text if isinstance(given, (media.Text, media.Html)) else None
    if isinstance(given, media.Table):
        text = given.markdown()
    return isinstance(what, str) and what == text


def _sorted(points: Any) -> Any:
    """Return the places of points in an order: Comet shuffles them."""
    places = np.asarray(points)[:, :3].astype(np.float64).round(3)
    return places[np.lexsort(places.T)]


def _array(given: media.Medium) -> Any:
    if isinstance(given, media.Image):
        return given.array()
    if isinstance(given, media.Video):
        return _FRAMES
    return np.zeros((0,), np.uint8)


def _digests(given: media.Medium, scratch: Path) -> Iterator[bytes]:
    yield hashlib.sha256(given.data()).digest()
    yield hashlib.sha256(converted(given, "file", scratch).data()).digest()


def _same_pixels(one: Any, other: Any) -> bool:
    """Compare images: grey ones may have been stored with three channels, and any as opaque."""

    def rgba(pixels: Any) -> Any:
        array = np.asarray(pixels)
        array = array[..., None] if array.ndim == 2 else array
        if array.shape[-1] == 1:
            array = np.repeat(array, 3, axis=-1)
        opaque = np.full((*array.shape[:-1], 1), 255, np.uint8)
        return array if array.shape[-1] == 4 else np.concatenate([array, opaque], axis=-1)

    return np.array_equal(rgba(one), rgba(other))


def _plain(what: Any) -> Any:
    """Return a table's cells as texts: numbers as numbers are written; a text, as of Markdown, as it is."""

    def cell(value: Any) -> str:
        try:
            return f"{float(value):.6g}"
        except (TypeError, ValueError):
            return str(value)

    if not isinstance(what, Columns):
        return what
    return [str(name) for name in what.columns], [[cell(value) for value in row] for row in what.rows]
