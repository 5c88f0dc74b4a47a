"""The media of an Aim run: its images, distributions, texts and sound; other files are artifacts."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from accel_track.media.calls import several
from accel_track.media.kinds import Audio, Figure, File, Histogram, Image, Medium, Text
from accel_track.media.sums import sha256
from accel_track.media.ways import Way, by, native
from accel_track.trackers.aim.files import AimFiles, safe_path
from accel_track.trackers.aim.values import IMAGE_ARGUMENTS, for_track, has_caption
from accel_track.trackers.rows import Row

_SOUNDS = (".wav", ".mp3", ".flac")
_FOLDER = "media"
"""The artifacts' folder of files that stand for media."""


class AimMedia(AimFiles):
    """The part of the tracker that stores media."""

    # A name has one type for ever: a list under a name that has held single images is refused, and the other way round.
    always_lists = True
    lists = frozenset(("image", "audio"))
    media: ClassVar[Mapping[str, Way]] = {
        "image": native("Images, with captions; lossless"),
        "figure": by("image", "Images; Plotly's: Figures, or a file where plotly is not installed"),
        "table": by("text", "Texts, as Markdown"),
        "histogram": native("Distributions; with bins of several widths a text"),
        "text": native("Texts, which Aim shows as they are"),
        "audio": native("Audios, with captions: WAV, MP3 and FLAC; others: files"),
        "video": by("image", "GIF: Images; others: artifacts `media/<name>/…`"),
        "html": by("file", "artifact `media/<name>/….html`"),
        "points": by("file", "artifact `media/<name>/….npy`, in NumPy's format"),
        "confusion_matrix": by("image", "Images, a drawing"),
        "artifact": native('artifacts `<name>/…`, and `run["artifacts"]`'),
        "model": native('like other artifacts, of the type "model"'),
    }

    def log_images(
        self,
        values: Mapping[str, Any],
        step: int | None = None,
        kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        captions: Any = None,
        **more: Any,
    ) -> None:
        """Track images.

        Args:
            values: As for `MediaCalls.log_images`; or names to a tuple of an image, or images, and a caption.
            step: Training step.
            kwargs: `{"aim_image": …}` for `aim.Image` (e.g. `format`, `quality`), `{"track": …}` for `Run.track`.
            captions: As for `MediaCalls.log_images`.
            **more: Also for `Run.track` (`context`, `epoch`).
        """
        given = kwargs or {}
        media = {name: several(Image, *value) if has_caption(value) else value for name, value in values.items()}
        image = {IMAGE_ARGUMENTS: given[IMAGE_ARGUMENTS]} if IMAGE_ARGUMENTS in given else {}
        super().log_images(media, step, captions=captions, **image, **{**given.get("track", {}), **more})

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Raise the error of `aim.Image` or `Run.track` for further arguments of a call."""
        inspect.signature(self.import_sdk().Image).bind_partial(**kwargs.get(IMAGE_ARGUMENTS, {}))
        super().check_arguments(step, for_track(kwargs))

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium, by its file or its bins."""
        suffix = "" if medium.path is None else medium.path.suffix
        if isinstance(medium, Figure) and medium.is_plotly:
            return native("a figure") if find_spec("plotly") else by("file", "a file")
        if (isinstance(medium, Audio) and suffix not in _SOUNDS) or (medium.kind == "video" and suffix != ".gif"):
            return by("file", "a file")
        if isinstance(medium, Histogram) and not _is_even(medium):
            return by("table", "a text")
        return super().way(medium)

    def make_image(self, image: Image, row: Row) -> Any:
        """Return an image as Aim has it."""
        # Of a JPEG, Aim would make another one; a GIF may move.
        source = str(image.path) if image.path is not None and image.path.suffix == ".gif" else image.pil()
        more: Mapping[str, Any] = row.kwargs.get(IMAGE_ARGUMENTS, {})
        return self.import_sdk().Image(source, **{"caption": image.caption, **more})

    def make_figure(self, figure: Figure, row: Row) -> Any:
        """Return a figure of Plotly's as Aim has it."""
        from_json: Callable[..., Any] = import_module("plotly.io").from_json
        return self.import_sdk().Figure(from_json(figure.data().decode(), skip_invalid=True))

    def make_histogram(self, histogram: Histogram, row: Row) -> Any:
        """Return a histogram as Aim has it."""
        import numpy as np

        edges = histogram.edges
        return self.import_sdk().Distribution(hist=np.asarray(histogram.counts), bin_range=(edges[0], edges[-1]))

    def make_text(self, text: Text, row: Row) -> Any:
        """Return a text as Aim has it."""
        return self.import_sdk().Text(text.text)

    def make_audio(self, audio: Audio, row: Row) -> Any:
        """Return sound as Aim has it."""
        assert audio.path is not None  # noqa: S101 - sound has a file
        suffix = audio.path.suffix.removeprefix(".")
        return self.import_sdk().Audio(str(audio.path), format=suffix, caption=audio.caption)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Store a file as an artifact that what is delivered again replaces."""
        if reason := self.without_artifacts():
            row.refuse(name, file, reason)
            return
        assert file.path is not None  # noqa: S101 - a file has one
        digest = sha256(file.path)[:8]
        step = "" if row.step is None else f"step-{row.step}-"
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place, "file")
            shutil.copyfile(file.path, copy)  # a journal's file is its owner's only, and Aim copies permissions
            self.put(copy, f"{_FOLDER}/{safe_path(name)}/{step}{int(row.time * 1000)}-{digest}{file.suffix}")


def _is_even(histogram: Histogram) -> bool:
    """Return whether all bins have one width, as Aim's have."""
    import numpy as np

    edges = np.asarray(histogram.edges)
    even = np.linspace(edges[0], edges[-1], len(edges))
    return bool(np.allclose(edges, even, rtol=1e-14, atol=1e-6 * (edges[-1] - edges[0])))
