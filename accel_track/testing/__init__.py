"""Public helpers to test trackers: two doubles, and a conformance suite to inherit, which needs pytest."""

from typing import TYPE_CHECKING, Any

from accel_track.testing.doubles import FaultyTracker, RecordingTracker

if TYPE_CHECKING:
    from accel_track.testing.contract import Bins, Columns, Readback, Seen, TrackerContract

__all__ = ["Bins", "Columns", "FaultyTracker", "Readback", "RecordingTracker", "Seen", "TrackerContract"]


def __getattr__(name: str) -> Any:
    """Import the suite, with assertions that pytest explains."""
    if name not in ("Bins", "Columns", "Readback", "Seen", "TrackerContract"):
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import pytest

    suites = ("_values", "_configuration", "_lifecycle", "_delivery", "_media", "_reading", "_backend")
    pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in suites))
    from accel_track.testing import contract

    return getattr(contract, name)
