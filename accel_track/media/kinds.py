"""The kinds of media: what users log, and what trackers are given in its place."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import numbers
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from accel_track.errors import DamagedMediumError
from accel_track.media import drawing, histograms, pixels, sound, tables, waiting
from accel_track.media.content import Content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

MOST_PIXELS = 64_000_000
"""Pixels of the largest image that is taken without `max_pixels`."""

_WIDEST_GIF = 65_535

_MOST_CLASSES = 1000

_SHORT = 64 * 1024
"""Characters of the longest text that is kept without a file of its own."""


class Medium:
    """A value that says what it is, for `log`; the base of all kinds.

    What a tracker is given in its place is of the same class, with `path`, the file that holds it, `info` and the
    methods that read these. It is made in the call and does not change with what the user gave.

    Attributes:
        kind: Name of the kind, such as "image".
        path: The file; None for kinds without one, and before the medium is logged.
        info: What there is beside the file, as JSON values.
    """

    kind: ClassVar[str]
    is_native: ClassVar[bool] = False
    """Whether it holds an SDK's own object, which goes to the SDK as it is."""
    path: Path | None = None
    info: Mapping[str, Any]

    def content(self) -> Content:
        """Return what is stored of it, as it is now; called in `log`.

        Raises:
            TypeError: It was made of something else.
            ValueError: It was made of something that cannot be of this kind.
            OSError: Its file cannot be read.
        """
        raise NotImplementedError

    def kept(self) -> Content:
        """Return the same; of one that is stored already, what is stored of it."""
        if not self._is_stored():
            return self.content()
        return Content(self.info, "" if self.path is None else "".join(self.path.suffixes), path=self.path)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return the medium that is stored so."""
        medium = cls.__new__(cls)
        medium.info, medium.path = info, path
        return medium

    @property
    def caption(self) -> str:
        """What is written below it; "" for nothing."""
        return str(self.info.get("caption", ""))

    def data(self) -> bytes:
        """Return the bytes of its file, or of what it would be as a file.

        Raises:
            OSError: The file cannot be read.
        """
        return b"" if self.path is None else self.path.read_bytes()

    def __repr__(self) -> str:
        """Name the kind, the file and the caption."""
        parts = [] if self.path is None else [self.path.name]
        return f"{type(self).__name__}({', '.join([*parts, *([repr(self.caption)] if self.caption else [])])})"

    def _is_stored(self) -> bool:
        return "_given" not in self.__dict__

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Tell a damaged file from one that cannot be read at the moment."""
        try:
            yield
        except Exception as error:
            if not self._is_stored() or (isinstance(error, OSError) and error.errno is not None):
                raise
            message = f"the file of the {self.kind} is damaged ({type(error).__name__}: {error})"
            raise DamagedMediumError(message) from error


class Image(Medium):
    """An image.

    Args:
        data: A NumPy array or tensor of shape (H, W), (H, W, C) or (C, H, W), C being 1, 3 or 4, as
            [`images`][accel_track.media.images] takes it; a PIL image; the path of an image file; or the bytes of one.
            Files in PNG, JPEG or GIF keep their bytes; all else becomes a PNG.
        caption: What is written below the image.
        max_pixels: The most pixels that the image may have; None: as many as it has.
    """

    kind = "image"

    def __init__(self, data: Any, caption: str | None = None, *, max_pixels: int | None = MOST_PIXELS) -> None:
        """Keep the image until it is logged."""
        self._given, self._most = data, max_pixels
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the image's pixels, or its file."""
        if isinstance(self._given, (str, os.PathLike, bytes, bytearray)):
            return self._of_file(self._given)
        if pixels.is_pil(self._given):
            self._check(self._given.width * self._given.height)
        elif (shape := getattr(self._given, "shape", None)) is not None and len(shape) > 1:
            size = 1
            for length in shape:
                size *= int(length)
            self._check(size // _channels(shape))
        found = pixels.images_of(self._given)
        if len(found) != 1:
            message = f"`Image` is one image; got {len(found)}: log a list of images, or use `log_images`."
            raise ValueError(message)
        return Content(self.info, ".png", pixels=found[0])

    def _check(self, size: int) -> None:
        if self._most is not None and size > self._most:
            message = f"the image has {size:,} pixels, more than `max_pixels={self._most:,}`; give another limit."
            raise ValueError(message)

    def _of_file(self, given: Any) -> Content:
        with pixels.opened(io.BytesIO(given) if isinstance(given, (bytes, bytearray)) else given) as image:
            self._check(image.width * image.height)
            suffix = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif"}.get(image.format or "", "")
            if not suffix or (suffix == ".png" and image.mode.startswith("I")):
                return Content(self.info, ".png", pixels=pixels.images_of(image)[0])
        if isinstance(given, (bytes, bytearray)):
            return Content(self.info, suffix, data=bytes(given))
        return Content(self.info, suffix, path=given)

    def pil(self) -> Any:
        """Return the image as PIL's, in the mode L, RGB or RGBA.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: It is damaged.
        """
        from PIL import Image as Pil

        return Pil.fromarray(pixels.without_single_channel(self.array()))

    def array(self) -> NDArray[np.uint8]:
        """Return the image as an array of shape (height, width, channels), uint8.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: It is damaged.
        """
        with self._reading():
            found: NDArray[np.uint8] = pixels.images(self.path if self._is_stored() else self._given)[0]
        return found


class ImageOf(Image):
    """One of the images in an array of several, which are made ready together when the first is logged.

    Args:
        batch: The images.
        place: Which of them.
        caption: What is written below the image.
    """

    def __init__(self, batch: Batch, place: int, caption: str | None = None) -> None:
        """Know which one."""
        self._given, self._place, self._most = batch, place, MOST_PIXELS
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the image's pixels."""
        found = self._given.images[self._place]
        self._check(found.shape[0] * found.shape[1])
        return Content(self.info, ".png", pixels=found)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Any:
        """Return an `Image`."""
        return Image.of_stored(info, path)


class Batch:
    """Several images in one array.

    Args:
        value: An array or tensor of shape (N, H, W, C) or (N, C, H, W).
    """

    def __init__(self, value: Any) -> None:
        """Touch nothing."""
        self._value = value

    @functools.cached_property
    def images(self) -> list[Any]:
        """The images, on one scale."""
        return pixels.images_of(self._value)


class Figure(Image):
    """A figure.

    Args:
        data: A figure of Matplotlib's, or `matplotlib.pyplot` for its current one, drawn in the call that logs it: what
            is stored is a PNG. Or a figure of Plotly's, stored as its JSON.
        caption: What is written below the figure.
    """

    kind = "figure"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the figure until it is logged."""
        super().__init__(data, caption, max_pixels=None)

    def content(self) -> Content:
        """Return the figure's picture, or its JSON."""
        if drawing.is_plotly(self._given):
            return Content(self.info, ".plotly.json", data=self._given.to_json().encode())
        return Content(self.info, ".png", pixels=drawing.drawn(self._given))

    @property
    def is_plotly(self) -> bool:
        """Whether it is a figure of Plotly's, of which there is no picture but `plotly()`."""
        return self.path is not None and self.path.name.endswith(".json")

    def plotly(self) -> dict[str, Any]:
        """Return a figure of Plotly's as the dictionary of its JSON.

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: It is damaged.
        """
        with self._reading():
            figure: dict[str, Any] = json.loads(self.data())
        return figure


class Table(Medium):
    """A table.

    Args:
        data: Rows, each as long as the columns; a dictionary of columns; or a table of pandas, polars or pyarrow.
        columns: Names of the columns; default: those of `data`, else 0, 1, ….
        dataframe: A table of pandas, polars or pyarrow, in place of `data`.

    Cells are numbers, texts, booleans or None; dates become texts in ISO 8601, missing values None, other objects what
    `str` makes of them.
    """

    kind = "table"

    def __init__(self, data: Any = None, columns: Sequence[str] | None = None, *, dataframe: Any = None) -> None:
        """Keep the table until it is logged."""
        self._given = (columns, data, dataframe)
        self.info = {}

    def content(self) -> Content:
        """Return the table as JSON: `{"columns": […], "data": [[…], …]}`."""
        columns, table = self._table()
        data = tables.as_json(columns, table)
        shape = {"columns": len(columns), "rows": len(table)}
        return Content({**self.info, **shape}, ".json", data=data)

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        if not self._is_stored():
            columns, table = tables.rows(*self._given)
            return columns, tables.plain_cells(table)
        found = self.__dict__.get("_read")
        if found is None:
            with self._reading():
                whole = json.loads(self.data())
                found = self.__dict__["_read"] = (whole["columns"], whole["data"])
        return found

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._table()[0]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows."""
        return self._table()[1]

    def markdown(self) -> str:
        """Return the table in Markdown."""
        return tables.markdown(*self._table())

    def csv(self) -> str:
        """Return the table as CSV, with a line of column names."""
        return tables.csv_text(*self._table())


class Histogram(Medium):
    """A histogram of the numbers that there are in the call.

    Args:
        data: The numbers: an array, tensor or list of any shape. NaN and infinities are counted apart.
        bins: How many bins of equal width there are, 1 to 512.
        counts: How many numbers are in each bin, in place of `data`.
        edges: The edges of the bins, one more than there are counts.
    """

    kind = "histogram"

    def __init__(self, data: Any = None, bins: int = 64, *, counts: Any = None, edges: Any = None) -> None:
        """Keep the numbers until they are logged."""
        self._given = (data, bins, counts, edges)
        self.info = {}

    def content(self) -> Content:
        """Return counts, edges, and sums."""
        data, bins, counts, edges = self._given
        if (data is None) == (counts is None) or (counts is None) != (edges is None):
            message = "`Histogram` takes either numbers, or `counts` and `edges`."
            raise TypeError(message)
        if counts is not None:
            return Content(histograms.counted(counts, edges))
        many = histograms.to_be_counted(data, bins)
        if many is not None:
            return Content({"bins": bins}, waiting.SUFFIX, numbers=many)
        return Content(histograms.histogram(data, bins))

    @property
    def counts(self) -> list[float]:
        """How many numbers are in each bin."""
        return list(self.info["counts"])

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than there are counts."""
        return list(self.info["edges"])

    def quantile(self, share: float) -> float:
        """Return the number below which a share of the numbers lies, to the width of a bin."""
        return histograms.quantile(self.counts, self.edges, share)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return the histogram that is stored so: in a file, if it was counted after the call."""
        return super().of_stored(info if path is None else json.loads(path.read_bytes()), None)

    def data(self) -> bytes:
        """Return counts, edges and sums as JSON."""
        return json.dumps(dict(self.info)).encode()


class Text(Medium):
    """A text, which backends that can show as Markdown.

    Args:
        text: The text.
    """

    kind = "text"

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._given = text
        self.info = {}

    def content(self) -> Content:
        """Return the text."""
        if not isinstance(self._given, str):
            message = f"`Text` takes a text; got {type(self._given).__name__}."
            raise TypeError(message)
        text = str.__str__(self._given).encode("utf-8", "backslashreplace").decode()
        return Content({"text": text}) if len(text) <= _SHORT else Content({}, ".md", data=text.encode())

    @property
    def text(self) -> str:
        """The text."""
        return str(self.info["text"]) if "text" in self.info else super().data().decode()

    def data(self) -> bytes:
        """Return the text in UTF-8."""
        return self.text.encode()


class Audio(Medium):
    """Sound.

    Args:
        data: An array or tensor of shape (n,), (n, channels) or (channels, n): floats from -1 to 1, or integers of 16
            or 32 bits; it becomes a WAV file of 16 bits. Or the path of a sound file, whose bytes are kept.
        sample_rate: Samples a second; needed for arrays.
        caption: What is written below the sound.
    """

    kind = "audio"

    def __init__(self, data: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        """Keep the sound until it is logged."""
        self._given, self._rate = data, sample_rate
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the sound as a WAV file, or its file."""
        if isinstance(self._given, (str, os.PathLike)):
            suffix = _suffix(self._given, (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"), "a sound file")
            rate = {} if self._rate is None else {"sample_rate": sound.checked_rate(self._rate)}
            return Content({**self.info, **rate}, suffix, path=self._given)
        if self._rate is None:
            message = "`Audio` of an array needs `sample_rate`, the number of samples a second."
            raise ValueError(message)
        checked = sound.checked_rate(self._rate)
        return Content({**self.info, "sample_rate": checked}, ".wav", data=sound.wav(self._given, checked))

    @property
    def sample_rate(self) -> int | None:
        """Samples a second; None for a file of which that was not given."""
        rate: int | None = self.info.get("sample_rate")
        return rate

    def samples(self) -> NDArray[np.int16]:
        """Return the samples of a 16-bit WAV file, of shape (n, channels).

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: It is damaged, or another file.
        """
        with self._reading():
            return sound.samples(self.data())[0]


class Video(Medium):
    """A video.

    Args:
        data: An array or tensor of shape (T, H, W), (T, H, W, C) or (T, C, H, W), or a list of images: it becomes a
            GIF, which has 256 colours a frame. Or the path of a video file, whose bytes are kept.
        fps: Frames a second, for a GIF; its frames last hundredths of a second.
        caption: What is written below the video.
    """

    kind = "video"

    def __init__(self, data: Any, fps: float = 8, caption: str | None = None) -> None:
        """Keep the video until it is logged."""
        self._given, self._fps = data, fps
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the video's frames, or its file."""
        if isinstance(self._given, (str, os.PathLike)):
            suffixes = (".gif", ".mp4", ".webm", ".ogg", ".mov", ".mkv", ".avi", ".wmv")
            return Content(self.info, _suffix(self._given, suffixes, "a video file"), path=self._given)
        if isinstance(self._fps, bool) or not isinstance(self._fps, numbers.Real) or not 0 < self._fps <= 100:  # noqa: PLR2004
            message = f"`fps` is a number of frames a second, above 0 and 100 at most; got {self._fps!r}."
            raise ValueError(message)
        frames = pixels.frames(self._given)
        if max(frames.shape[1:3]) > _WIDEST_GIF:
            message = f"a GIF has {_WIDEST_GIF:,} rows and columns at most; got the shape {frames.shape}."
            raise ValueError(message)
        return Content({**self.info, "fps": float(self._fps)}, ".gif", pixels=frames)


class Html(Medium):
    """A page or a part of one in HTML.

    Args:
        data: The HTML, or a path (not a text) of a file that holds it.
        caption: What is written below it.
    """

    kind = "html"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the HTML until it is logged."""
        self._given = data
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the HTML, or its file."""
        if isinstance(self._given, os.PathLike):
            return Content(self.info, _suffix(self._given, (".html", ".htm"), "an HTML file"), path=self._given)
        if not isinstance(self._given, str):
            message = f"`Html` takes a text or a path; got {type(self._given).__name__}."
            raise TypeError(message)
        return Content(self.info, ".html", data=str.__str__(self._given).encode("utf-8", "backslashreplace"))

    @property
    def text(self) -> str:
        """The HTML."""
        return self.data().decode(errors="replace")


class Points3D(Medium):
    """Points in space.

    Args:
        data: An array or tensor of shape (N, 3), (N, 4) with a category of 1 to 14, or (N, 6) with red, green and blue
            of 0 to 255; stored as 32-bit floats, in NumPy's file format.
        caption: What is written below them.
    """

    kind = "points"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the points until they are logged."""
        self._given = data
        self.info = _captioned(caption)

    def content(self) -> Content:
        """Return the points as the bytes of a `.npy` file."""
        import numpy as np

        array = pixels.number_array(self._given, "points are an array")
        if array.ndim != 2 or array.shape[1] not in (3, 4, 6) or not len(array):  # noqa: PLR2004 - as the docstring says
            message = f"points have the shape (N, 3), (N, 4) or (N, 6); got {array.shape}."
            raise ValueError(message)
        array = array.astype("<f4")
        if not np.isfinite(array).all():
            message = "points are finite numbers."
            raise ValueError(message)
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        return Content(self.info, ".npy", data=stream.getvalue())

    def array(self) -> NDArray[np.float32]:
        """Return the points, of shape (N, 3), (N, 4) or (N, 6).

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: It is damaged.
        """
        import numpy as np

        with self._reading():
            array: NDArray[np.float32] = np.load(io.BytesIO(self.data()), allow_pickle=False)
        return array


class ConfusionMatrix(Medium):
    """A confusion matrix.

    Args:
        targets: The true classes, as numbers from 0, of shape (n,).
        predictions: The predicted classes, likewise.
        matrix: How often each class (a row) was taken for each (a column), in place of both.
        labels: Names of the classes; default: their numbers.
    """

    kind = "confusion_matrix"

    def __init__(
        self, targets: Any = None, predictions: Any = None, *, matrix: Any = None, labels: Sequence[Any] | None = None
    ) -> None:
        """Keep the classes until they are logged."""
        self._given = (targets, predictions, matrix, labels)
        self.info = {}

    def content(self) -> Content:
        """Return the matrix and the names of its classes."""
        import numpy as np

        targets, predictions, matrix, labels = self._given
        if (matrix is None) != (targets is not None and predictions is not None):
            message = "a confusion matrix is made either of `targets` and `predictions`, or of `matrix`."
            raise TypeError(message)
        if matrix is None:
            true, guessed = (
                number_array.reshape(-1)
                for number_array in (pixels.number_array(one, "classes are numbers") for one in (targets, predictions))
            )
            if true.dtype.kind == "f" or guessed.dtype.kind == "f" or true.shape != guessed.shape or not true.size:
                message = f"classes are integers, as many true as predicted ones; got {true.shape}, {guessed.shape}."
                raise ValueError(message)
            most = max(int(true.max()), int(guessed.max())) + 1
            count = most if labels is None else len(labels)
            if min(int(true.min()), int(guessed.min())) < 0 or most > count or count > _MOST_CLASSES:
                message = f"classes are numbers from 0 to {count - 1}, one for each label, and {_MOST_CLASSES} at most."
                raise ValueError(message)
            counts = np.zeros((count, count), np.int64)
            np.add.at(counts, (true.astype(np.int64), guessed.astype(np.int64)), 1)
        else:
            counts = pixels.number_array(matrix, "a confusion matrix holds numbers")
            if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:  # noqa: PLR2004
                message = f"a confusion matrix is square; got the shape {counts.shape}."
                raise ValueError(message)
            if len(counts) > _MOST_CLASSES:
                message = f"a confusion matrix has {_MOST_CLASSES} classes at most; got {len(counts)}."
                raise ValueError(message)
        names = [str(label) for label in (range(len(counts)) if labels is None else labels)]
        if len(names) != len(counts):
            message = f"a confusion matrix of {len(counts)} classes needs as many labels; got {len(names)}."
            raise ValueError(message)
        return Content({"matrix": counts.tolist(), "labels": names})

    @property
    def matrix(self) -> list[list[float]]:
        """How often each class (a row) was taken for each (a column)."""
        return [list(row) for row in self.info["matrix"]]

    @property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return list(self.info["labels"])


class File(Medium):
    """A file that stands for a medium where a backend has nothing better; users log artifacts.

    Args:
        path: The file.
        suffix: What its name ends in.
        caption: What is written below it.
    """

    kind = "file"

    def __init__(self, path: Path, suffix: str, caption: str = "") -> None:
        """Know where it is."""
        self.path, self.suffix = path, suffix
        self.info = _captioned(caption)


KINDS: dict[str, type[Medium]] = {
    one.kind: one for one in (Image, Figure, Table, Histogram, Text, Audio, Video, Html, Points3D, ConfusionMatrix)
}
"""The kinds that users log, by name."""


def medium_of(value: Any) -> Medium | None:
    """Return the medium that a plain object is without doubt: a PIL image, a figure or a table; None for others."""
    if isinstance(value, Medium):
        return value
    if pixels.is_pil(value):
        return Image(value)
    if drawing.is_figure(value):
        return Figure(value)
    return Table(value) if tables.is_frame(value) and type(value).__name__ != "Series" else None


def _captioned(caption: Any) -> dict[str, Any]:
    return {} if caption is None or caption == "" else {"caption": str(caption).encode(errors="replace").decode()}


def _channels(shape: Sequence[int]) -> int:
    """Return how many channels an array of a shape has."""
    if len(shape) < 3:  # noqa: PLR2004 - height and width
        return 1
    return int(shape[-1] if shape[-1] in (1, 3, 4) else shape[0] if shape[0] in (1, 3, 4) else 1) or 1


def _suffix(path: str | os.PathLike[str], known: Sequence[str], what: str) -> str:
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in known:
        message = f"{what} ends in {', '.join(known)}; got {os.fspath(path)!r}."
        raise ValueError(message)
    return suffix
