"""The conformance suite that a tracker's tests inherit. Needs pytest; the tables' test needs pandas."""

from accel_track.testing._backend import Bins, Columns, Readback, Seen
from accel_track.testing._configuration import ConfigurationContract
from accel_track.testing._delivery import DeliveryContract
from accel_track.testing._endings import EndingsContract
from accel_track.testing._lifecycle import LifecycleContract
from accel_track.testing._media import MediaContract
from accel_track.testing._reading import ReadingContract
from accel_track.testing._values import ValuesContract

__all__ = ["Bins", "Columns", "Readback", "Seen", "TrackerContract"]


class TrackerContract(
    ValuesContract,
    ConfigurationContract,
    LifecycleContract,
    DeliveryContract,
    EndingsContract,
    MediaContract,
    ReadingContract,
):
    """The conformance suite of every tracker. A test class inherits it, and defines `tracker_class`, `make` and `read`.

    The suite writes through the tracker and looks at the answer of `read` only, so that a tracker cannot pass by
    remembering its calls.
    """
