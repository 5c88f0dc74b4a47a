"""The exit status of another process: a companion's parent, for which only its own parent can wait.

Linux tells it since 6.15, through a descriptor that was opened while the process lived. Source: `PIDFD_GET_INFO` and
`struct pidfd_info` in the kernel's `include/uapi/linux/pidfd.h`.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time

_INFO = struct.Struct("=QQ11Ii")
"""`mask`, `cgroupid`, eleven ids, `exit_code`: the first version of the structure."""
_EXIT = 1 << 3
_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11
_UNTIL_REAPED = 0.5
"""Seconds that the parent of a process gets to wait for it: the status is told from then on."""


class Exit:
    """The end of a process that is not a child of this one.

    Args:
        pid: Its number; it lives.
    """

    def __init__(self, pid: int) -> None:
        """Open the process, if the system can do that."""
        self._file: int | None = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._file = os.pidfd_open(pid)

    def wait(self, timeout: float) -> bool:
        """Wait for its end; return whether it has come, as far as can be told."""
        return self._file is not None and bool(select.select([self._file], [], [], timeout)[0])

    def status(self) -> int | None:
        """Return its exit status, in the form of `os.wait`, or None if that is not told."""
        end = time.monotonic() + _UNTIL_REAPED
        while self._file is not None:
            if (found := self._told(self._file)) is not None or time.monotonic() >= end:
                return found
            time.sleep(0.01)
        return None

    def _told(self, file: int) -> int | None:
        import fcntl

        with contextlib.suppress(OSError):
            data = fcntl.ioctl(file, _GET_INFO, _INFO.pack(_EXIT, *[0] * 13))
            mask, *_, status = _INFO.unpack(data)
            return int(status) if mask & _EXIT else None
        return None
