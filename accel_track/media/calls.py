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
    """The calls that log one kind of medium each, the same on front doors, runs and trackers.

    A value that cannot be logged is dropped with a warning, and counted by its name; the rest of the call is logged.
    Further arguments (`**kwargs`) reach an SDK only if the call is a tracker's own, as in
    `run.get_tracker("wandb").log_image(…)`; on a run or a front door they are a TypeError.
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
            values: Images by name, each an array or a tensor of shape (H, W), (H, W, C) or (C, H, W), a PIL image, or
                the path of an image file. Several images of a name are a list, or a batch of shape (N, H, W, C) or
                (N, C, H, W).
            step: Training step, 0 or more, or None.
            captions: Captions by name, each a text, or a list or an array with a text per image. A text, a list or an
                array alone holds for every name.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        media = {name: several(Image, one, _of(captions, name)) for name, one in _named(values).items()}
        self._log_media(media, step, **kwargs)

    def log_image(self, key: str, images: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log the images of one name, as Lightning's `WandbLogger` does.

        Args:
            key: Name of the images.
            images: An image or a list of images, as for `log_images`.
            step: Training step, 0 or more, or None.
            **kwargs: `caption`, a text or a list with a text per image; and arguments of the SDK's own call, on a
                tracker only.
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
            name: Name of the table.
            columns: Names of the columns.
            data: Rows, each a list with a cell per column or a dictionary of cells by column.
            dataframe: A table of pandas, polars or pyarrow, in place of `columns` and `data`. Its index is left out.
            step: Training step, 0 or more, or None.
            key: Another name of the argument `name`, as in Lightning's `WandbLogger`.
            table_name: Another name of the argument `name`, as in accelerate's trackers.
            **kwargs: Arguments of the SDK's own call, on a tracker only.

        Raises:
            TypeError: There is no name.
        """
        self._log_media({_name(name, key, table_name): Table(data, columns, dataframe=dataframe)}, step, **kwargs)

    def log_figure(self, name: str, figure: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log a figure of Matplotlib or Plotly.

        Args:
            name: Name of the figure.
            figure: The figure, which stays open; or `matplotlib.pyplot`, for its current figure.
            step: Training step, 0 or more, or None.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        self._log_media({name: Figure(figure)}, step, **kwargs)

    def log_histogram(
        self, values: Mapping[str, Any], step: int | None = None, *, bins: int = 64, **kwargs: Any
    ) -> None:
        """Log histograms.

        Args:
            values: Numbers by name, each an array, a tensor or a list of any shape.
            step: Training step, 0 or more, or None.
            bins: Number of bins of equal width, 1 to 512.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
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
        """Log texts, which some backends show as Markdown: `log_text({"note": "…"})` or `log_text("note", "…")`.

        Lightning's `WandbLogger.log_text` logs a table of texts; its arguments `key`, `columns`, `data` and `dataframe`
        do so here, too.

        Args:
            values: Texts by name; or the name of one text.
            text: The text, if `values` is a name.
            step: Training step, 0 or more, or None.
            key: Name of the table of texts.
            columns: Names of the table's columns.
            data: Rows of the table, each with a cell per column.
            dataframe: A table of pandas, polars or pyarrow, in place of `columns` and `data`.
            **kwargs: Arguments of the SDK's own call, on a tracker only.

        Raises:
            TypeError: There is no name, or no text.
        """
        if isinstance(step, (list, tuple)) and data is None:  # where `WandbLogger.log_text` has the rows
            data, step = step, None
        if data is not None or dataframe is not None:
            names = columns if columns is not None else text if isinstance(text, (list, tuple)) else None
            name = values if isinstance(values, str) else None
            self.log_table(name, names, data, dataframe, step, key=key, **kwargs)
            return
        texts, step = _by_name(values, text, step)
        self._log_media({name: Text(one) for name, one in texts.items()}, step, **kwargs)

    def log_audio(
        self,
        values: Mapping[str, Any] | str | None = None,
        audios: Sequence[Any] | None = None,
        step: int | None = None,
        *,
        key: str | None = None,
        sample_rate: int | Sequence[int] | None = None,
        captions: Mapping[str, Any] | Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log sound: `log_audio({"voice": x}, step=1, sample_rate=16000)`, or `log_audio("voice", [x, y], 1)`.

        Args:
            values: Sounds by name, each an array or a tensor of shape (n,), (n, channels) or (channels, n) with floats
                from -1 to 1 or integers of 16 or 32 bits, the path of a sound file, or a list of these. Or one name.
            audios: The sounds, if `values` is a name.
            step: Training step, 0 or more, or None.
            key: Another name of `values`, as in `WandbLogger`.
            sample_rate: Samples per second of arrays, which need it: a number for all sounds, or a list.
            captions: Captions, as for `log_images`. `caption` is another name of this argument.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        captions = kwargs.pop("caption", captions)
        given, step = _by_name(key if values is None else values, audios, step)
        rates = sample_rate if isinstance(sample_rate, (list, tuple)) else None
        media = {
            name: several(Audio, value, _of(captions, name), sample_rate=rates or sample_rate)
            for name, value in given.items()
        }
        self._log_media(media, step, **kwargs)

    def log_video(
        self,
        values: Mapping[str, Any] | str | None = None,
        videos: Sequence[Any] | None = None,
        step: int | None = None,
        *,
        key: str | None = None,
        fps: float | Sequence[float] = 8,
        captions: Mapping[str, Any] | Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log videos: `log_video({"rollout": x}, step=1, fps=30)`, or `log_video("rollout", [x, y], 1)`.

        Args:
            values: Videos by name, each an array or a tensor of shape (T, H, W), (T, H, W, C) or (T, C, H, W), the path
                of a video file, or a list of these; an array of five dimensions is several videos. Or one name.
            videos: The videos, if `values` is a name.
            step: Training step, 0 or more, or None.
            key: Another name of `values`, as in `WandbLogger`.
            fps: Frames per second of arrays, above 0 and 100 at most: a number for all videos, or a list.
            captions: Captions, as for `log_images`. `caption` is another name of this argument.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        kwargs.pop("format", None)  # WandbLogger's: a file's name tells it
        captions = kwargs.pop("caption", captions)
        given, step = _by_name(key if values is None else values, videos, step)
        media = {name: several(Video, value, _of(captions, name), fps=fps) for name, value in given.items()}
        self._log_media(media, step, **kwargs)

    def log_html(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log pages of HTML, or parts of pages.

        Args:
            values: HTML by name, each a text, or the path of an HTML file as a `pathlib.Path`.
            step: Training step, 0 or more, or None.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        self._log_media({name: several(Html, value, None) for name, value in _named(values).items()}, step, **kwargs)

    def log_points(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log clouds of points in space.

        Args:
            values: Clouds by name, each an array or a tensor of shape (N, 3), (N, 4) or (N, 6), as for
                [`Points3D`][accel_track.media.Points3D].
            step: Training step, 0 or more, or None.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
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
            targets: The true classes, integers from 0, of shape (n,).
            predictions: The predicted classes, integers from 0, of shape (n,).
            step: Training step, 0 or more, or None.
            matrix: The counts, of shape (classes, classes), in place of `targets` and `predictions`: row i and column j
                have the number of samples of class i that were predicted as class j.
            labels: Names of the classes. Default: their numbers.
            **kwargs: Arguments of the SDK's own call, on a tracker only.
        """
        one = ConfusionMatrix(targets, predictions, matrix=matrix, labels=labels)
        self._log_media({name: one}, step, **kwargs)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert, which goes to the terminal, to trackers and to the services of `ACCEL_TRACK_NOTIFY`.

        Args:
            title: The event in one line.
            text: Details in Markdown.
            level: "info", "warning" or "error".

        Raises:
            TypeError: `title` or `text` is not a text.
            ValueError: `level` is unknown.
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

        Anything in a folder that is not a regular file (a link to a folder, a socket, a device) is left out with a
        warning, and so are folders called `.accel_track`.

        Args:
            path: The file or folder.
            name: Name of the artifact. Default: the name of the file or folder.
            type: Kind of the artifact, such as "dataset". Default: "artifact".
            metadata: Facts about the artifact, as JSON values by name.
            copy: Whether the files are copied before this call returns; files that are not copied must stay unchanged
                until they are delivered. Default: an artifact of up to 16 MiB is copied; a larger one in the temporary
                folder is linked, so that its files may be deleted, and a larger one elsewhere stays where it is.
            step: Training step, 0 or more, or None.

        Raises:
            OSError: With a tracker's own call, the files cannot be read; a run drops them with a warning.
        """
        about = {"type": type, "metadata": metadata, "copy": copy, "step": step}
        self._log_artifact(path, name, about)

    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        """Log a file or folder; `about` has the further arguments of `log_artifact`."""
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

        Args:
            folder: The folder.
            name: Name of the artifact. Default: the name of the folder.
            type: Kind of the artifact, such as "dataset". Default: "artifact".
            metadata: Facts about the artifact, as JSON values by name.
            copy: Whether the files are copied before this call returns, as for `log_artifact`.
            step: Training step, 0 or more, or None.

        Raises:
            NotADirectoryError: `folder` is not a folder.
            TypeError: `folder` is no path.
        """
        if not isinstance(folder, (str, os.PathLike)):
            message = f"`log_artifacts` takes the path of a folder; got {folder.__class__.__name__}."
            raise TypeError(message)
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
        """Log a model, as an artifact of the type "model".

        Args:
            model: The file or folder that holds the model; or a `torch.nn.Module`, whose `state_dict` is saved.
            name: Name of the model.
            metadata: Facts about the model, as JSON values by name.
            step: Training step, 0 or more, or None.

        Raises:
            OSError: The temporary folder has no room for the file of a module.
            TypeError: `model` is neither a path nor a module.
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
    """Return a medium of a kind, or a list of media for several values.

    Args:
        kind: The kind.
        value: The user's value; a list, a tuple or an array with a further dimension holds several values.
        captions: A text for all, a list or an array with a text for each, or None.
        arguments: Further arguments of the medium; a list has a value for each.
    """
    captions = captions.tolist() if hasattr(captions, "tolist") else captions
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
    """Return the values of several media; None for a single one."""
    if isinstance(value, (list, tuple)):
        return None if kind is not Html and is_nested_numbers(value) and value else value
    shape = getattr(value, "shape", ())
    return [value[place] for place in range(len(value))] if kind is Video and len(shape) == _VIDEOS else None


def _at(given: Any, place: int) -> Any:
    """Return a list's entry at a place, None beyond its end; anything else holds for all places."""
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
    """Return media by name, and the step, which may stand at the place of the media of one name."""
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
