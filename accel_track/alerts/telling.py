"""Alerts on the terminal of the program."""

from __future__ import annotations

from accel_track.records import Alert
from accel_track.texts import clean, tell


def show_alert(alert: Alert, *, more: int = 0) -> None:
    """Print an alert to the standard error output, as one line without credentials.

    Args:
        alert: The alert.
        more: How many others before it were not shown.
    """
    text = f": {alert.text}" if alert.text else ""
    held = f" ({more} more alerts were not shown)" if more else ""
    tell(clean(f"accel_track {alert.level}: {alert.title}{text}{held}"))
