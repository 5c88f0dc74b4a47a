"""Numbers in the sentences of an autopsy."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

_SHORTEST = 0.001
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


def duration(seconds: float) -> str:
    """Return a time span, such as "0.25 s", "75 s", "12 min", "3 h 20 min", "4 days"."""
    if seconds <= _SHORTEST:
        return "1 ms or less"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        hours, rest = divmod(seconds, _HOUR)
        return f"{hours:.0f} h {rest // _MINUTE:.0f} min"
    return f"{seconds / _DAY:.0f} days"


def amount(count: float) -> str:
    """Return a number of bytes, in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return names as a sentence has them, the first ones if there are many."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def exit_text(status: int) -> str:
    """Return the words for an exit status of `os.wait`: "exit code 3", "SIGKILL"."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal_name(-code)


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
