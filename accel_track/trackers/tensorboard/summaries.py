"""Summaries of what is not a number, by TensorBoard's protobuf classes; without torch."""
# Modules of protobuf get their classes when they are imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accel_track.trackers.tensorboard import wire
from accel_track.values.plain import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray


def text_value(name: str, text: str) -> bytes:
    """Return a text, as `SummaryWriter.add_text` stores it."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    content = TextPluginData(version=0).SerializeToString()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text", content=content))
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[wire.text(text)], tensor_shape=shape)
    tag = wire.text(f"{name}/text_summary").decode()
    return wire.value(Summary.Value(tag=tag, metadata=metadata, tensor=tensor).SerializeToString())


def image_value(name: str, data: bytes) -> bytes:
    """Return an image that is a file in PNG, JPEG or GIF."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(io.BytesIO(data)) as image:
        width, height, channels = *image.size, len(image.getbands())
    stored = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=data)
    return wire.value(Summary.Value(tag=wire.text(name).decode(), image=stored).SerializeToString())


def histogram_value(name: str, info: Mapping[str, Any]) -> bytes:
    """Return a histogram, as `SummaryWriter.add_histogram_raw` stores it."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary

    stored = HistogramProto(
        min=info["min"],
        max=info["max"],
        num=sum(info["counts"]),
        sum=info["sum"],
        sum_squares=info["sum_squares"],
        bucket_limit=info["edges"][1:],
        bucket=info["counts"],
    )
    return wire.value(Summary.Value(tag=wire.text(name).decode(), histo=stored).SerializeToString())


def audio_value(name: str, data: bytes) -> bytes:
    """Return sound that is a WAV file.

    Raises:
        wave.Error: It is none.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary

    with wave.open(io.BytesIO(data)) as file:
        stored = Summary.Audio(
            sample_rate=file.getframerate(),
            num_channels=file.getnchannels(),
            length_frames=file.getnframes(),
            encoded_audio_string=data,
            content_type="audio/wav",
        )
    return wire.value(Summary.Value(tag=wire.text(name).decode(), audio=stored).SerializeToString())


def points_values(name: str, points: NDArray[Any]) -> list[bytes]:
    """Return points of shape (N, 3), (N, 4) or (N, 6), as `SummaryWriter.add_mesh` stores them, with their colours."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.plugins.mesh import metadata
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

    parts = {MeshPluginData.VERTEX: points[:, :3]}
    if (colours := _colours(points)) is not None:
        parts[MeshPluginData.COLOR] = colours
    components, tag = metadata.get_components_bitmask(list(parts)), wire.text(name).decode()
    values = []
    for kind, part in parts.items():
        shape = (1, *part.shape)
        dimensions = TensorShapeProto(dim=[TensorShapeProto.Dim(size=length) for length in shape])
        tensor = TensorProto(dtype="DT_FLOAT", float_val=part.reshape(-1).tolist(), tensor_shape=dimensions)
        about = metadata.create_summary_metadata(tag, None, kind, components, shape, None, json_config="{}")
        value = Summary.Value(tag=metadata.get_instance_name(tag, kind), tensor=tensor, metadata=about)
        values.append(wire.value(value.SerializeToString()))
    return values


def _colours(points: NDArray[Any]) -> NDArray[Any] | None:
    """Return red, green and blue of each point, 0 to 255: those given, or one for each category; None without any."""
    import numpy as np

    width = points.shape[1]
    if width == 6:  # noqa: PLR2004 - place and colour
        return points[:, 3:]
    if width == 3:  # noqa: PLR2004 - place alone
        return None
    hues = points[:, 3:] * 37 % 256  # neighbouring categories differ
    return np.concatenate([hues, 255 - hues, (hues * 3) % 256], axis=1)


def session_start(config: Mapping[str, float | str | None]) -> bytes:
    """Return the name by which the HParams tab knows a session, as `SummaryWriter.add_hparams` stores it.

    No `Experiment` goes with it: where one run of a folder has that, TensorBoard takes the columns of all runs from it;
    where none has, from all sessions and all of their scalars, whenever these come.

    Booleans are numbers, as there. None, an integer that no float is equal to, and NaN and ±inf, which the tab would
    leave out, are texts.
    """
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    start = SessionStartInfo()
    for key, value in config.items():
        name = wire.text(key).decode()
        if isinstance(value, (int, float)) and finite(value) and float(value) == value:
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = wire.text(str(value)).decode()
    return _hparams_value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def session_end() -> bytes:
    """Return by what the HParams tab knows that a session has come to its end."""
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    return _hparams_value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _hparams_value(tag: str, data: Any) -> bytes:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    data.version = metadata.PLUGIN_DATA_VERSION
    one = Summary.Value(tag=tag)
    one.metadata.plugin_data.plugin_name = metadata.PLUGIN_NAME
    one.metadata.plugin_data.content = data.SerializeToString()
    return wire.value(one.SerializeToString())


def rewind_event(step: int, time: float) -> bytes:
    """Return the framed event by which TensorBoard forgets values of a step and later ones."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    event = Event(wall_time=time, step=step, session_log=SessionLog(status=SessionLog.START))
    return wire.frame(event.SerializeToString())
