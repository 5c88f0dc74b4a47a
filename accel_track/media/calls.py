"""The calls that log one medium each, or raise an alert: the same on front doors and trackers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from accel_track.media.kinds import (
    Audio,
    Batch,
    ConfusionMatrix,
    Figure,
    Histogram,
    Html,
    Image,
    ImageOf,
    Medium,
    Points3D,
    Table,
    Text,
    Video,
)
from accel_track.media.pixels import is_nested_numbers

AlertLevel = Literal["info", "warning", "error"]

_BATCH, _VIDEOS = 4, 5
"""Dimensions of several images, and of several videos, in one array."""


class MediaCalls:
    """Calls for media, on top of one method that logs values.

    What cannot be logged is counted by its name and warned about, as in `log`, and costs nothing else.
    """

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        """Log values, which are media or lists of media."""
        raise NotImplementedError

    def log_images(
        self,
        values: Mapping[str, Any],
        step: int | None = None,
        *,
        captions: Mapping[str, Any] | Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log images.

        Args:
            values: Names to an image or several: arrays or tensors of shape (H, W), (H, W, C), (C, H, W), or with N in
                front for a batch; PIL images; paths of image files; or a list of these.
            step: Training step.
            captions: By name, a caption for each image; a text or a list alone is for all names.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        media = {name: several(Image, one, _of(captions, name)) for name, one in _named(values).items()}
        self._log_media(media, step, **kwargs)

    def log_image(self, key: str, images: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log the images of one name, as Lightning's `WandbLogger` does.

        Args:
            key: Name of the images.
            images: An image or a list of images, as for `log_images`.
            step: Training step.
            **kwargs: `caption`: a text or a list with one for each image. Others are passed by a tracker to its SDK.
        """
        caption = kwargs.pop("caption", None)
        self.log_images({key: images}, step, captions=None if caption is None else {key: caption}, **kwargs)

    def log_table(
        self,
        name: str | None = None,
        columns: Sequence[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
        *,
        key: str | None = None,
        table_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a table.

        Args:
            name: Name of the table; also called `key` or `table_name`, as by other libraries.
            columns: Names of the columns.
            data: Rows, each as long as the columns.
            dataframe: A table of pandas, polars or pyarrow, in place of `columns` and `data`; an index is left out.
            step: Training step.
            key: As `name`.
            table_name: As `name`.
            **kwargs: Passed by a tracker to its SDK's own call.

        Raises:
            TypeError: There is no name.
        """
        self._log_media({_name(name, key, table_name): Table(data, columns, dataframe=dataframe)}, step, **kwargs)

    def log_figure(self, name: str, figure: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log a figure of Matplotlib's or Plotly's; it stays open.

        Args:
            name: Name of the figure.
            figure: The figure, or `matplotlib.pyplot` for its current one.
            step: Training step.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        self._log_media({name: Figure(figure)}, step, **kwargs)

    def log_histogram(
        self, values: Mapping[str, Any], step: int | None = None, *, bins: int = 64, **kwargs: Any
    ) -> None:
        """Log histograms.

        Args:
            values: Names to numbers: arrays, tensors or lists of any shape.
            step: Training step.
            bins: How many bins of equal width there are, 1 to 512.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        self._log_media({name: Histogram(value, bins) for name, value in _named(values).items()}, step, **kwargs)

    def log_text(
        self,
        values: Mapping[str, str] | str | None = None,
        text: str | Sequence[str] | None = None,
        step: int | None = None,
        *,
        key: str | None = None,
        columns: Sequence[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        **kwargs: Any,
    ) -> None:
        """Log texts, which backends that can show as Markdown: `log_text({"note": "…"})` or `log_text("note", "…")`.

        Args:
            values: Names to texts; or one name.
            text: The text of one name.
            step: Training step.
            key: With `columns` and `data`, or `dataframe`: name of a table of texts, as `WandbLogger.log_text` has it.
            columns: As for `log_table`.
            data: As for `log_table`.
            dataframe: As for `log_table`.
            **kwargs: Passed by a tracker to its SDK's own call.

        Raises:
            TypeError: There is no name, or no text.
        """
        if data is not None or dataframe is not None:
            names = columns if columns is not None else text if isinstance(text, (list, tuple)) else None
            name = values if isinstance(values, str) else None
            self.log_table(name, names, data, dataframe, step, key=key, **kwargs)
            return
        texts, step = _by_name(values, text, step)
        self._log_media({name: Text(one) for name, one in texts.items()}, step, **kwargs)

    def log_audio(
        self,
        values: Mapping[str, Any] | str,
        audios: Sequence[Any] | None = None,
        step: int | None = None,
        *,
        sample_rate: int | Sequence[int] | None = None,
        captions: Mapping[str, Any] | Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log sound: `log_audio({"voice": x}, step=1, sample_rate=16000)`, or `log_audio("voice", [x, y], 1)`.

        Args:
            values: Names to sounds: an array or tensor of shape (n,), (n, channels) or (channels, n), of floats from -1
                to 1 or integers of 16 or 32 bits; the path of a sound file; or a list of these. Or one name.
            audios: The sounds of one name, as `WandbLogger.log_audio` has it.
            step: Training step.
            sample_rate: Samples a second, one for all or one for each; needed for arrays.
            captions: As for `log_images`; `caption` is another word for it.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        captions, (given, step) = kwargs.pop("caption", captions), _by_name(values, audios, step)
        rates = sample_rate if isinstance(sample_rate, (list, tuple)) else None
        media = {
            name: several(Audio, value, _of(captions, name), sample_rate=rates or sample_rate)
            for name, value in given.items()
        }
        self._log_media(media, step, **kwargs)

    def log_video(
        self,
        values: Mapping[str, Any] | str,
        videos: Sequence[Any] | None = None,
        step: int | None = None,
        *,
        fps: float | Sequence[float] = 8,
        captions: Mapping[str, Any] | Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log videos: `log_video({"rollout": x}, step=1, fps=30)`, or `log_video("rollout", [x, y], 1)`.

        Args:
            values: Names to videos: an array or tensor of shape (T, H, W), (T, H, W, C) or (T, C, H, W), with N in
                front for several; the path of a video file; or a list of these. Or one name.
            videos: The videos of one name, as `WandbLogger.log_video` has it.
            step: Training step.
            fps: Frames a second of arrays, one for all or one for each.
            captions: As for `log_images`; `caption` is another word for it.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        kwargs.pop("format", None)  # WandbLogger's: a file's name tells it
        captions, (given, step) = kwargs.pop("caption", captions), _by_name(values, videos, step)
        media = {name: several(Video, value, _of(captions, name), fps=fps) for name, value in given.items()}
        self._log_media(media, step, **kwargs)

    def log_html(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log pages, or parts of such.

        Args:
            values: Names to HTML texts, or to paths (no texts) of HTML files.
            step: Training step.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        self._log_media({name: several(Html, value, None) for name, value in _named(values).items()}, step, **kwargs)

    def log_points(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log points in space.

        Args:
            values: Names to arrays or tensors of shape (N, 3), (N, 4) or (N, 6), as for
                [`Points3D`][accel_track.media.Points3D].
            step: Training step.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        self._log_media(
            {name: several(Points3D, value, None) for name, value in _named(values).items()}, step, **kwargs
        )

    def log_confusion_matrix(
        self,
        name: str,
        targets: Any = None,
        predictions: Any = None,
        step: int | None = None,
        *,
        matrix: Any = None,
        labels: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a confusion matrix.

        Args:
            name: Name of the matrix.
            targets: The true classes, as numbers from 0, of shape (n,).
            predictions: The predicted classes, likewise.
            step: Training step.
            matrix: How often each class (a row) was taken for each (a column), in place of both.
            labels: Names of the classes; default: their numbers.
            **kwargs: Passed by a tracker to its SDK's own call.
        """
        one = ConfusionMatrix(targets, predictions, matrix=matrix, labels=labels)
        self._log_media({name: one}, step, **kwargs)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert, which goes to the terminal, to trackers and to the services of `ACCEL_TRACK_NOTIFY`.

        Args:
            title: What has happened, in one line.
            text: More about it.
            level: "info", "warning" or "error".

        Raises:
            TypeError: `title` or `text` is no text.
            ValueError: `level` is another one.
        """
        raise NotImplementedError

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Log a file, or a folder with all its files.

        What is no regular file is left out of a folder, with a warning: links to folders, sockets, devices; and so are
        folders `.accel_track`.

        Args:
            path: The file or folder.
            name: Name of the artifact; default: that of the file or folder.
            type: What it is, such as "dataset"; default: "artifact".
            metadata: What is known about it, as JSON values.
            copy: Whether the files are copied at once. If not, they have to stay as they are until they are delivered.
                Default: up to 16 MiB are copied; of larger artifacts, those in the temporary folder are linked, so that
                they may be deleted, and others stay where they are.
            step: Training step.

        Raises:
            OSError: The file cannot be read.
        """
        about = {"type": type, "metadata": metadata, "copy": copy, "step": step}
        self._log_artifact(path, name, about)

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        """Log a file or folder; `about` are the further arguments of `log_artifact`."""
        raise NotImplementedError

    def log_artifacts(
        self,
        folder: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - as above
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Log a folder with all its files, as [`log_artifact`][accel_track.media.calls.MediaCalls.log_artifact] does.

        Raises:
            NotADirectoryError: It is no folder.
        """
        if not os.path.isdir(folder):
            message = f"`log_artifacts` takes a folder; {os.fspath(folder)!r} is none."
            raise NotADirectoryError(message)
        self.log_artifact(folder, name, type=type, metadata=metadata, copy=copy, step=step)

    def log_model(
        self,
        model: Any,
        name: str = "model",
        *,
        metadata: Mapping[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Log a model: an artifact of the type "model".

        Args:
            model: The file or folder that holds the model; or a `torch.nn.Module`, whose `state_dict` is saved.
            name: Name of the model.
            metadata: What is known about it, as JSON values.
            step: Training step.

        Raises:
            OSError: There is no room for the file.
            TypeError: It is neither a path nor a module.
        """
        if isinstance(model, (str, os.PathLike)):
            self.log_artifact(model, name, type="model", metadata=metadata, step=step)
            return
        if not hasattr(model, "state_dict"):
            message = f"`log_model` takes a path or a torch.nn.Module; got {type(model).__name__}."
            raise TypeError(message)
        import torch

        with tempfile.TemporaryDirectory(prefix="accel_track-model-") as folder:
            path = os.path.join(folder, "model.pt")
            torch.save(model.state_dict(), path)
            self.log_artifact(path, name, type="model", metadata=metadata, step=step)  # linked where it is large


def several(kind: type[Medium], value: Any, captions: Any, **arguments: Any) -> Any:
    """Return a medium of a kind, or a list of media where the value is several.

    Args:
        kind: The kind.
        value: What the user gave: one or, in a list, a tuple or an array with one dimension more, several.
        captions: A text for all, a list with one for each, or None.
        arguments: More for each; a list with one for each.
    """
    if kind is Image and len(getattr(value, "shape", ())) == _BATCH:
        batch = Batch(value)
        return [ImageOf(batch, place, _at(captions, place)) for place in range(len(value))]
    many = _items(kind, value)
    if many is None:
        captions = captions[0] if isinstance(captions, (list, tuple)) and captions else captions
        return _one(kind, value, captions, {key: _at(one, 0) for key, one in arguments.items()})
    return [
        _one(kind, one, _at(captions, place), {key: _at(given, place) for key, given in arguments.items()})
        for place, one in enumerate(many)
    ]


def _one(kind: type[Medium], value: Any, caption: Any, arguments: Mapping[str, Any]) -> Any:
    if isinstance(value, Medium):
        return value
    return kind(value, **({} if caption is None else {"caption": caption}), **arguments)  # type: ignore[call-arg]


def _items(kind: type[Medium], value: Any) -> Sequence[Any] | None:
    """Return what there are several of; None for one."""
    if isinstance(value, (list, tuple)):
        return None if kind is not Html and is_nested_numbers(value) and value else value
    shape = getattr(value, "shape", ())
    return [value[place] for place in range(len(value))] if kind is Video and len(shape) == _VIDEOS else None


def _at(given: Any, place: int) -> Any:
    """Return the one of a place where there is a list, else what is for all."""
    if isinstance(given, (list, tuple)):
        return given[place] if place < len(given) else None
    return given


def _of(captions: Any, name: str) -> Any:
    return captions.get(name) if isinstance(captions, Mapping) else captions


def _named(values: Any) -> Mapping[str, Any]:
    if isinstance(values, Mapping):
        return values
    message = f"give a dictionary of names to media; got {type(values).__name__}."
    raise TypeError(message)


def _by_name(values: Any, items: Any, step: Any) -> tuple[Mapping[str, Any], Any]:
    """Return media by name, and the step, which may be where the media of one name would be."""
    if isinstance(values, Mapping) and (items is None or step is None):
        return values, step if items is None else items
    if not isinstance(values, str) or items is None:
        message = "give a dictionary of names to media, or a name and its media."
        raise TypeError(message)
    return {values: items}, step


def _name(*names: str | None) -> str:
    for name in names:
        if name is not None:
            return name
    message = "a table needs a name."
    raise TypeError(message)
