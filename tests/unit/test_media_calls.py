"""Calls with media: what is no medium costs nothing else of its call, in every mode of delivery."""

import hashlib
import json
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image as Pil

from accel_track import media
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning, DamagedMediumError
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.media import folder as folder_module
from accel_track.media import pixels as pixels_module
from accel_track.registry import LOGGER_TYPE_TO_CLASS, register_tracker_class, select
from accel_track.run import Run
from accel_track.testing import RecordingTracker

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
MODES = ["thread", "inline", "none"]


class Seeing(RecordingTracker):
    """Reads each medium when it is given it."""

    name = "seeing"
    made: ClassVar[list["Seeing"]] = []

    def __init__(self, run_name: str = "seeing", **kwargs: Any) -> None:
        super().__init__(run_name, **kwargs)
        self.values: dict[str, Any] = {}
        self.steps: list[int | None] = []
        Seeing.made.append(self)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.steps.append(step)
        self.values.update({name: seen(value) for name, value in values.items()})


def seen(value: Any) -> Any:
    if isinstance(value, list):
        return [seen(one) for one in value]
    if isinstance(value, media.Image) and not getattr(value, "is_plotly", False):
        return value.caption, value.array()
    return (value.kind, value.data()) if isinstance(value, media.Medium) else value


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    before = dict(LOGGER_TYPE_TO_CLASS)
    register_tracker_class(Seeing)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


def logged(delivery: str, call: Callable[[Run], Any]) -> Seeing:
    """Have a call log to a run; return the tracker, which has had all of it."""
    run = Run(select("seeing", "runs"), project="p", directory="runs", settings=Settings.of(delivery=delivery))
    call(run)
    run.finish()
    if delivery == "none":
        (status,) = Sync(next(iter(find_runs("runs")))).deliver(follow=False, timeout=30)
        assert (status.pending, status.error) == (0, None)
    return Seeing.made[-1]


def stored_files() -> set[str]:
    return {path.suffix for path in Path("runs").rglob("media/*")} - {""}


def impossible() -> dict[str, Any]:
    """Return what cannot be, each under a name that leads elsewhere."""
    os.mkfifo("pipe.png")
    os.mkfifo("pipe.wav")
    os.mkdir("folder.png")
    Path("text.png").write_text("no image")
    Path("huge.mp4").touch()
    os.truncate("huge.mp4", 2 * 1024**3)  # sparse
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.png")
    cells = np.zeros((1, 3))
    found: list[Any] = [
        *(media.Image(np.zeros(shape)) for shape in [(5,), (2, 3, 5), (1, 1, 2, 2, 3), (0, 5, 3), (5, 0), ()]),
        *(media.Image(np.array(one)) for one in (["a"], [1j], [None], ["2020-01-01"])),
        *(media.Image(one) for one in ("pipe.png", "folder.png", "text.png", "socket.png", "/dev/zero", "no.png")),
        *(media.Image(one) for one in ("\0.png", "\ud800.png", "", b"", b"no image", None, object(), 5, [], {})),
        media.Image(Pil.new("RGB", (0, 5))),
        media.Image(np.broadcast_to(np.uint8(0), (10_000, 10_000, 3))),
        media.Image(PIXELS, max_pixels=10),
        media.Figure(5),
        media.Figure(matplotlib.figure.Figure((0.001, 0.001))),
        *(media.Video(one) for one in (np.zeros((0, 4, 4, 3)), np.zeros(3), [], "a.txt", "huge.mp4", None)),
        *(media.Video(PIXELS[None], fps=fps) for fps in (0, -1, float("nan"), 1e9, "8", None, True)),
        media.Video(np.zeros((1, 1, 70_000, 3), np.uint8)),
        media.Video([PIXELS, PIXELS[1:]]),
        *(media.Audio(one, 8000) for one in (np.zeros(0), np.zeros((9, 9)), "a.txt", "no.wav", "pipe.wav", None)),
        *(media.Audio(cells, rate) for rate in (None, 0, -1, 1.5, "8000", 2**40, True)),
        *(media.Histogram(one) for one in ([], [float("nan")], ["a"], None, object())),
        *(media.Histogram([1.0], bins) for bins in (0, 513, 1.5, True)),
        *(media.Histogram(counts=[1], edges=edges) for edges in ([1], [1, 1], [2, 1], [0, float("inf")], None)),
        media.Histogram(counts=[-1], edges=[0, 1]),
        *(media.Text(one) for one in (5, None, b"a")),  # type: ignore[arg-type]
        *(media.Html(one) for one in (5, None, Path("a.txt"), Path("no.html"))),
        *(media.Table(one) for one in (5, [[1], [1, 2]], {"a": [1], "b": [1, 2]}, None)),
        *(media.Points3D(one) for one in (np.zeros((5, 2)), np.full((1, 3), np.nan), np.zeros((0, 3)), "a", None)),
        media.ConfusionMatrix([0], [0, 1]),
        media.ConfusionMatrix([-1], [0]),
        media.ConfusionMatrix([0.5], [0]),
        media.ConfusionMatrix([5], [5], labels=["a"]),
        media.ConfusionMatrix(matrix=[[1, 2]]),
        media.ConfusionMatrix(matrix=np.zeros((1001, 1001))),
        media.ConfusionMatrix(),
    ]
    names = ("../../up", "..", "/etc/x", "a/../b", "nul\0", "half\ud800", "C:\\x", "new\nline", " ")
    return {f"{names[number % len(names)]}{number}": one for number, one in enumerate(found)}


@pytest.mark.parametrize("delivery", MODES)
def test_what_cannot_be_is_counted_by_its_name_and_the_rest_of_the_call_is_there(delivery: str) -> None:
    bad = impossible()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        tracker = logged(delivery, lambda run: run.log({**bad, "loss": 0.5, "fine": media.Image(PIXELS)}, 3))
    assert set(tracker.values) == {"loss", "fine"}
    assert np.array_equal(tracker.values["fine"][1], PIXELS)
    names = {name.encode(errors="backslashreplace").decode() for name in bad}
    assert {name: tracker.dropped[name] for name in names} == dict.fromkeys(names, 1)
    if delivery != "inline":
        assert stored_files() == {".png"}  # not even a part of another


@pytest.mark.parametrize("delivery", MODES)
def test_odd_images_that_can_be(delivery: str) -> None:
    grey = np.linspace(0, 65_535, 48).astype(np.uint16).reshape(8, 6)
    Pil.fromarray(grey).save("deep.png")
    Pil.fromarray(PIXELS).quantize(4).save("palette.png")
    Pil.fromarray(PIXELS).save("a.bmp")
    os.symlink("a.bmp", "link.bmp")
    floats = (PIXELS / 255).astype(np.float32)
    floats[0, 0] = np.nan
    given = {
        "deep": "deep.png",
        "array16": grey,
        "palette": "palette.png",
        "palette image": Pil.open("palette.png"),
        "bitmap": Path("link.bmp"),
        "nan": floats,
        "strange order": PIXELS.astype(">f8"),
        "turned": PIXELS[::-1, ::2],
    }
    values = logged(delivery, lambda run: run.log_images(given, 1)).values
    wanted = grey // 257
    assert abs(values["deep"][1][:, :, 0].astype(int) - wanted).max() <= 1
    assert np.array_equal(values["array16"][1][:, :, 0], wanted)
    for name in ("palette", "palette image"):
        assert np.array_equal(values[name][1][:, :, :3], np.asarray(Pil.open("palette.png").convert("RGB"))), name
    assert np.array_equal(values["bitmap"][1], PIXELS)
    assert (values["nan"][1][0, 0].tolist(), values["nan"][1][1:].tolist()) == ([0, 0, 0], PIXELS[1:].tolist())
    assert np.array_equal(values["strange order"][1], PIXELS)
    assert np.array_equal(values["turned"][1], PIXELS[::-1, ::2])


@pytest.mark.parametrize("delivery", MODES)
def test_lists(delivery: str) -> None:
    some = [PIXELS, np.zeros((2, 3, 5)), PIXELS[::-1].copy()]

    def call(run: Run) -> None:
        run.log_images({"some": some}, 0, captions={"some": ["one", "two", "three"]})
        run.log_images({"none of them": [np.zeros(5), "no.png"]}, 1)
        run.log_images({"empty": []}, 2)
        run.log_images({"batch": np.stack([PIXELS, PIXELS])}, 3, captions="both")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        tracker = logged(delivery, call)
    assert [caption for caption, _ in tracker.values["some"]] == ["one", "three"]
    assert np.array_equal(tracker.values["some"][1][1], PIXELS[::-1])
    assert "none of them" not in tracker.values
    assert (tracker.dropped["some"], tracker.dropped["none of them"]) == (1, 1)
    assert tracker.values["empty"] == []
    assert [caption for caption, _ in tracker.values["batch"]] == ["both", "both"]


@pytest.mark.parametrize("delivery", MODES)
def test_what_changes_after_the_call_was_logged_as_it_was(delivery: str) -> None:
    array, cells, path = PIXELS.copy(), [[1, "a"]], Path("a.png")
    Pil.fromarray(PIXELS).save(path)
    numbers = np.arange(10.0)

    def call(run: Run) -> None:
        run.log({"array": media.Image(array), "file": media.Image(path), "numbers": media.Histogram(numbers, 2)}, 1)
        run.log_table("table", ["n", "text"], cells, step=1)
        array[:] = 0
        cells[0][0] = 2
        numbers[:] = 0
        path.unlink()

    values = logged(delivery, call).values
    assert np.array_equal(values["array"][1], PIXELS)
    assert np.array_equal(values["file"][1], PIXELS)
    assert json.loads(values["numbers"][1])["counts"] == [5, 5]
    assert json.loads(values["table"][1])["data"] == [[1, "a"]]


@pytest.mark.parametrize("bad", [[PIXELS], "a", None, 5])
def test_what_is_no_dictionary_is_the_callers_error(bad: Any) -> None:
    run = Run(select(Seeing(), "runs"), project="p", directory="runs", settings=Settings.of(delivery="inline"))
    for call in (run.log_images, run.log_histogram, run.log_html, run.log_points):
        with pytest.raises(TypeError, match="give a dictionary of names to media"):
            call(bad)
    run.finish()


@pytest.mark.filterwarnings("error")
def test_a_huge_image_has_a_limit_of_ours_which_can_be_another() -> None:
    Pil.new("1", (15_000, 15_000)).save("huge.png")  # PIL itself refuses to open it
    assert Path("huge.png").stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"225,000,000 pixels, more than `max_pixels=64,000,000`; give another limit"):
        media.Image("huge.png").content()
    content = media.Image("huge.png", max_pixels=None).content()
    assert (content.suffix, content.path) == (".png", "huge.png")
    with pixels_module.opened("huge.png") as image:
        assert image.size == (15_000, 15_000)
    assert Pil.MAX_IMAGE_PIXELS is not None


def test_a_file_that_grows_is_taken_as_it_was_and_one_that_shrinks_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("log.mp4")
    path.write_bytes(os.urandom(3 * 1024**2))
    folder, stop = folder_module.MediaFolder(Path("media")), threading.Event()

    def grow() -> None:
        with path.open("ab") as file:
            while not stop.is_set() and file.tell() < 64 * 1024**2:
                file.write(os.urandom(4096))
                file.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        kept = folder.file(folder.keep(media.Video(path).content()))
    finally:
        stop.set()
        thread.join()
    assert kept is not None
    data = kept.read_bytes()
    assert len(data) >= 3 * 1024**2
    assert path.read_bytes().startswith(data)

    def shrunk() -> Any:
        os.truncate(path, 100)
        return hashlib.sha256()

    monkeypatch.setattr(folder_module, "hashlib", SimpleNamespace(sha256=shrunk))
    with pytest.raises(ValueError, match="shorter while it was read"):
        folder.keep(media.Video(path).content())
    assert [one for one in Path("media").iterdir() if one.name.startswith(".")] == []


def test_a_stored_medium_that_is_logged_again_is_no_error_of_ours() -> None:
    """A custom tracker may pass on what it was given."""
    outer, inner = Seeing(), Seeing()
    second = Run(select(inner, "inner"), project="q", directory="inner", settings=Settings.of(delivery="inline"))
    outer.log = lambda values, step=None, **_: second.log(values, step)  # type: ignore[method-assign]
    run = Run(select(outer, "runs"), project="p", directory="runs", settings=Settings.of())
    run.log({"numbers": media.Histogram([1.0, 2.0], 2), "image": media.Image(PIXELS), "loss": 0.5}, 1)
    run.finish()
    second.finish()
    assert set(inner.values) == {"numbers", "image", "loss"}
    assert not inner.dropped


def test_numbers_that_are_nearly_equal_have_a_histogram() -> None:
    near = np.float32([1.0, np.nextafter(np.float32(1), np.float32(2))])
    for numbers in (near, np.float64([1, 1 + 2**-52]), np.full(5, 1e9, np.float32), np.full(3, 1e300), [5e-324, 0]):
        info = media.Histogram(numbers).content().info
        assert sum(info["counts"]) == len(numbers)
        assert all(low < high for low, high in zip(info["edges"], info["edges"][1:], strict=False))
        assert info["edges"][0] <= info["min"] <= info["max"] <= info["edges"][-1]


def test_numbers_that_are_nearly_too_large_have_a_histogram() -> None:
    """A loss that grows without limit: the width of all bins is more than the type of the numbers holds."""
    largest = np.finfo(np.float32).max
    for numbers in (
        np.float32([-1e38, 1e38, 3e38]),
        np.float32([-largest, largest]),
        np.float64([-1.7e308, 0, 1.7e308]),
        np.float64([-1.79e308, 1.79e308]),
    ):
        for bins in (1, 64, 512):
            info = media.Histogram(numbers, bins).content().info
            assert sum(info["counts"]) == len(numbers)
            assert min(info["counts"][0], info["counts"][-1]) > 0
            assert np.isfinite(info["edges"]).all()
            assert info["edges"][0] <= info["min"] <= info["max"] <= info["edges"][-1]
    with pytest.raises(ValueError, match="cannot be sorted"):
        media.Histogram([np.finfo(np.float64).max]).content()


def test_numbers_of_numpy_are_rates_too() -> None:
    assert media.Audio(np.zeros(5), np.int64(8000)).content().info == {"sample_rate": 8000}  # type: ignore[arg-type]
    assert type(media.Video(PIXELS[None], np.float32(5)).content().info["fps"]) is float  # type: ignore[arg-type]


def test_texts_that_are_none_of_utf_8_stay_readable() -> None:
    run = Run(select("seeing", "runs"), project="p", directory="runs", settings=Settings.of(delivery="none"))
    half = "half \ud800"
    run.log({"text": media.Text(half), "page": media.Html(half), "table": media.Table([[half]], [half])}, 1)
    run.log({"image": media.Image(PIXELS, half), "matrix": media.ConfusionMatrix(matrix=[[1]], labels=[half])}, 2)
    run.finish()
    (found,) = find_runs("runs")
    assert len(list(JournalReader(found.rank()))) == 2
    (status,) = Sync(found).deliver(follow=False, timeout=30)
    assert (status.delivered, status.dropped) == (2, {})


@pytest.mark.parametrize("delivery", MODES)
def test_the_step_may_be_the_second_argument_of_all_calls(delivery: str) -> None:
    def call(run: Run) -> None:
        run.log_text({"a": "x"}, 1)
        run.log_audio({"b": np.zeros(8)}, 2, sample_rate=8000)
        run.log_video({"c": PIXELS[None]}, 3)
        run.log_text("d", "x", 4)
        run.log_audio("e", [np.zeros(8)], 5, sample_rate=8000)
        for wrong in (lambda: run.log_text({"a": "x"}, "y", 1), lambda: run.log_text("a"), lambda: run.log_audio("a")):
            with pytest.raises(TypeError, match="give a dictionary"):
                wrong()

    assert logged(delivery, call).steps == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif"])
def test_a_damaged_file_is_told_from_one_that_cannot_be_read(suffix: str) -> None:
    path = Path(f"a{suffix}")
    Pil.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    stored = media.Image.of_stored({}, path)
    with pytest.raises(DamagedMediumError, match="the file of the image is damaged"):
        stored.array()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        stored.array()
