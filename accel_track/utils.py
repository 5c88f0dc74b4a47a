"""Names that scripts import from a `utils` module."""

from accel_track.configuration import ProjectConfiguration
from accel_track.registry import LoggerType

__all__ = ["LoggerType", "ProjectConfiguration"]
