"""Media: values that say what they are, for any `log`; without an SDK."""

from accel_track.media.kinds import (
    Audio,
    ConfusionMatrix,
    Figure,
    File,
    Histogram,
    Html,
    Image,
    Medium,
    Points3D,
    Table,
    Text,
    Video,
)
from accel_track.media.pixels import images, without_single_channel
from accel_track.media.tables import rows

__all__ = [
    "Audio",
    "ConfusionMatrix",
    "Figure",
    "File",
    "Histogram",
    "Html",
    "Image",
    "Medium",
    "Points3D",
    "Table",
    "Text",
    "Video",
    "images",
    "rows",
    "without_single_channel",
]
