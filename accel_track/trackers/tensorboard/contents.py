"""The content of summaries: numbers, texts and media, of values of both versions that TensorBoard knows."""
# Modules of protobuf get their classes when they are imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from accel_track.media import Points3D, Table, Text
from accel_track.media.fallbacks import stored
from accel_track.trackers.reading.media import picture_of, sound, with_file
from accel_track.trackers.tensorboard.bins import of_proto, of_rows
from accel_track.trackers.tensorboard.messages import parsed

_TEXTS = "/text_summary"
_ENVIRONMENT = re.compile(r"environment(_\d+)?"), "```\npython: "
_MOST_REPEATED = 2**20
_MESH = ("the faces of a mesh", "a mesh whose points were not found")
_PR_CURVE = ["true positives", "false positives", "true negatives", "false negatives", "precision", "recall"]
_SHOWN_ONLY = {"custom_scalars": "a layout of TensorBoard's page, which has no place elsewhere"}
_KINDS = {"image": "an image", "audio": "sound", "histo": "a histogram", "tensor": "a tensor"}
_LONGEST = 40


class Contents:
    """The values of the summaries of one folder: a tag's plugin is told with its first value, and kept here.

    Args:
        scratch: A folder for files of media.
        lost: What could not be read is counted here.
    """

    def __init__(self, scratch: Path, lost: Counter[str]) -> None:
        """Know no tag yet."""
        self._scratch, self._lost = scratch, lost
        self._plugins: dict[str, tuple[str, bytes]] = {}

    def of(self, values: Any) -> Iterator[tuple[str, Any]]:
        """Yield names and values of an event's summary.

        Args:
            values: TensorBoard's `Summary.Value` objects.
        """
        meshes: dict[str, dict[int, Any]] = {}
        for value in values:
            kind = value.WhichOneof("value")
            if kind == "simple_value":
                yield value.tag, value.simple_value
                continue
            plugin, about = self._plugin(value)
            if plugin == "hparams":  # read before, as the run's configuration
                continue
            try:
                if plugin == "mesh":
                    _add_to_mesh(meshes, about, value.tensor)
                    continue
                name, found = value.tag, self._value(kind, plugin, value)
            except Exception:  # noqa: BLE001 - anything may be in a file that somebody else wrote
                what = f"a value of the plugin {plugin[:_LONGEST]!r}" if plugin else _KINDS.get(kind, "a value")
                self._lost[f"{what} could not be read"] += 1
                continue
            if plugin == "text":
                name = name.removesuffix(_TEXTS)
                if _is_environment(name, found):
                    continue
            if found is not None:
                yield name, found
        yield from self._of_meshes(meshes)

    def _plugin(self, value: Any) -> tuple[str, bytes]:
        """Return the name of a value's plugin, "" for none, and what the plugin knows of its tag."""
        found = self._plugins.get(value.tag)
        if found is None:
            data = value.metadata.plugin_data
            found = self._plugins[value.tag] = data.plugin_name, data.content
        return found

    def _value(self, kind: str | None, plugin: str, value: Any) -> Any:
        """Return a value; None if it is none of the user's. Raises whatever is wrong with it."""
        if kind == "image":
            return with_file(picture_of(value.image.encoded_image_string, self._scratch), self._scratch)
        if kind == "audio":
            return with_file(sound(value.audio.encoded_audio_string, self._scratch), self._scratch)
        if kind == "histo":
            return of_proto(value.histo)
        if kind == "tensor" and (make := _TENSORS.get(plugin)) is not None:
            return make(value.tensor, self._scratch)
        if kind == "tensor" and plugin not in _SHOWN_ONLY:
            return _numbers(value.tensor, self._scratch)
        self._lost[_SHOWN_ONLY.get(plugin, "a value without content")] += 1
        return None

    def _of_meshes(self, meshes: dict[str, dict[int, Any]]) -> Iterator[tuple[str, Any]]:
        from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

        for name, parts in meshes.items():
            if MeshPluginData.FACE in parts:
                self._lost[_MESH[0]] += 1
            try:
                points = parts[MeshPluginData.VERTEX]
                if (colours := parts.get(MeshPluginData.COLOR)) is not None and len(colours) == len(points):
                    points = np.concatenate([points, colours], axis=-1)
                found = [stored(Points3D(one), self._scratch) for one in points]
            except Exception:  # noqa: BLE001 - as above
                self._lost[_MESH[1]] += 1
                continue
            for place, one in enumerate(found):
                yield (name if len(found) == 1 else f"{name}/{place}"), one


def _add_to_mesh(meshes: dict[str, dict[int, Any]], about: bytes, tensor: Any) -> None:
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

    if (mesh := parsed(MeshPluginData, about)) is None:
        message = "nothing tells which part of a mesh it is"
        raise ValueError(message)
    meshes.setdefault(mesh.name, {})[mesh.content_type] = array_of(tensor)


def array_of(tensor: Any) -> np.ndarray[Any, Any]:
    """Return a tensor of numbers as an array.

    Raises:
        ValueError: It is none, or says that it is larger than it is.
        TypeError: Its type is not known.
    """
    from tensorboard.util import tensor_util

    sizes = [one.size for one in tensor.tensor_shape.dim]
    # One number may stand for a whole array of it.
    if any(size < 0 for size in sizes) or (not tensor.tensor_content and math.prod(sizes) > _MOST_REPEATED):
        held = max(len(values) for field, values in tensor.ListFields() if field.name.endswith("_val"))
        if any(size < 0 for size in sizes) or held < math.prod(sizes):
            message = f"a tensor of the shape {sizes} holds {held} numbers"
            raise ValueError(message)
    array: np.ndarray[Any, Any] = tensor_util.make_ndarray(tensor)
    if array.dtype.kind not in "biuf":
        message = f"a tensor of the type {array.dtype} holds no numbers"
        raise TypeError(message)
    return array


def _numbers(tensor: Any, scratch: Path) -> Any:
    """Return a tensor's number, or its numbers as a table: of a vector a column."""
    array = array_of(tensor)
    if array.size == 1:
        return array.reshape(-1)[0].item()
    rows = array.reshape(-1, 1) if array.ndim == 1 else array
    if rows.ndim != 2 or not rows.size:  # noqa: PLR2004 - rows and columns
        message = f"a tensor of the shape {array.shape} is no table"
        raise ValueError(message)
    return stored(Table(rows.tolist(), [str(place) for place in range(rows.shape[1])]), scratch)


def _text(tensor: Any, scratch: Path) -> Any:
    """Return a text; of several the paragraphs."""
    return stored(Text("\n\n".join(one.decode(errors="replace") for one in tensor.string_val)), scratch)


def _images(tensor: Any, scratch: Path) -> Any:
    """Return an image, or a list of them; their width and height come first."""
    found = [with_file(picture_of(one, scratch), scratch) for one in tensor.string_val[2:]]
    return found[0] if len(found) == 1 else found or None


def _sounds(tensor: Any, scratch: Path) -> Any:
    """Return sound, or a list of it: strings, each with a label where the tensor has two dimensions."""
    strings = tensor.string_val[:: max(1, len(tensor.tensor_shape.dim))]
    found = [with_file(sound(one, scratch), scratch) for one in strings]
    return found[0] if len(found) == 1 else found or None


def _bins(tensor: Any, _: Path) -> Any:
    """Return a histogram."""
    return of_rows(array_of(tensor))


def _curve(tensor: Any, scratch: Path) -> Any:
    """Return a curve of precision and recall as a table with a row for each threshold."""
    return stored(Table(array_of(tensor).T.tolist(), _PR_CURVE), scratch)


_TENSORS: dict[str, Callable[[Any, Path], Any]] = {
    "text": _text,
    "images": _images,
    "audio": _sounds,
    "histograms": _bins,
    "pr_curves": _curve,
}
"""The functions that make the values of tensors, by the name of their plugin."""


def _is_environment(name: str, text: Any) -> bool:
    """Return whether a text is what the tracker has stored of the program's environment."""
    pattern, begin = _ENVIRONMENT
    return pattern.fullmatch(name) is not None and text.text.startswith(begin)
