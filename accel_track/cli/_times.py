"""Times on the command line: how long, how long ago, since when."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

import typer

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
_YEAR = 365.25 * 86_400


def age(seconds: float | None) -> str:
    """Return a time span in the largest unit that fits, such as "3h"; "?" where it is not known."""
    if seconds is None or not seconds < 1e12:  # noqa: PLR2004 - not of this calendar, or NaN
        return "?"
    if seconds >= 2 * _YEAR:
        return f"{seconds / _YEAR:.0f}y"
    unit = next((name for name in ("d", "h", "m") if seconds >= _UNITS[name]), "s")
    return f"{int(seconds / _UNITS[unit])}{unit}"


def span(seconds: float | None) -> str:
    """Return a time span in two units, such as "1h05m"; "?" where it is not known."""
    if seconds is None or not seconds < 1e12:  # noqa: PLR2004 - as above
        return "?"
    for large, small, digits in (("d", "h", 2), ("h", "m", 2), ("m", "s", 2)):
        if seconds >= _UNITS[large]:
            whole, rest = divmod(seconds, _UNITS[large])
            return f"{int(whole)}{large}{int(rest / _UNITS[small]):0{digits}d}{small}"
    return f"{int(seconds)}s"


def iso(seconds: float | None, *, utc: bool) -> str:
    """Return a moment as ISO 8601 has it, to the second, with the offset from UTC; "?" for one beyond the calendar."""
    moment = _moment(seconds, utc=utc)
    return "?" if moment is None else moment.isoformat(timespec="seconds")


def short_date(seconds: float | None, *, utc: bool) -> str:
    """Return a moment to the minute, such as "2026-01-31 12:00"; "?" for one beyond the calendar."""
    moment = _moment(seconds, utc=utc)
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def clock(seconds: float) -> str:
    """Return the local time of day, such as "12:00:00"; "?" for a moment beyond the calendar."""
    moment = _moment(seconds, utc=False)
    return "?" if moment is None else f"{moment:%H:%M:%S}"


def _moment(seconds: float | None, *, utc: bool) -> datetime | None:
    try:
        moment = None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
        return moment if utc or moment is None else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def since(text: str) -> float:
    """Return the moment that an option names, in seconds since 1970-01-01 UTC: "2d" ago, or a date.

    Args:
        text: A number and s, m, h, d or w; or a date, with a time or without, as ISO 8601 has it, in local time
            unless it says otherwise.

    Raises:
        typer.BadParameter: It is neither.
    """
    if (match := _AGO.fullmatch(text.strip())) is not None:
        return time.time() - float(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        message = f"--since: {text!r} is neither a time such as 2d, 12h or 90m, nor a date such as 2026-01-31."
        raise typer.BadParameter(message) from None
