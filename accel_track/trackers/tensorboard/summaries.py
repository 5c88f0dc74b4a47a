"""Summaries of what is no number, by TensorBoard's protobuf classes; without torch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from accel_track.media import without_single_channel
from accel_track.trackers.tensorboard import wire
from accel_track.values.plain import finite


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


def image_value(name: str, image: Any) -> bytes:
    """Return an image of shape (height, width, channels), uint8, as a PNG."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    png = io.BytesIO()
    Image.fromarray(without_single_channel(image)).save(png, format="PNG")
    height, width, channels = image.shape
    stored = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue())
    return wire.value(Summary.Value(tag=wire.text(name).decode(), image=stored).SerializeToString())


def session_start(config: Mapping[str, float | str | None]) -> bytes:
    """Return what the HParams tab knows a session by, as `SummaryWriter.add_hparams` stores it.

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
