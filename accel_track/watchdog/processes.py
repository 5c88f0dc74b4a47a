"""Processes as the kernel tells them apart: by number and start, within one start of the machine."""

from __future__ import annotations

from accel_track.monitors.memory import KERNEL


def boot_id() -> str | None:
    """Return the id of the machine's present start, or None if the system has none."""
    return KERNEL.text("sys/kernel/random/boot_id").strip() or None


def _fields(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` from the third one on; see proc(5)."""
    return KERNEL.text(f"{pid}/stat").rpartition(")")[2].split()


def started_at(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since the machine was; None if it is gone or not told."""
    fields = _fields(pid)
    return int(fields[19]) if len(fields) > 19 else None  # noqa: PLR2004 - the 22nd


def state_of(pid: int) -> str | None:
    """Return the letter of a process's state, such as "R", "S", "D" and "T", or None if it is gone or not told."""
    fields = _fields(pid)
    return fields[0] if fields else None


def handles(pid: int, signal: int) -> bool:
    """Return whether a process has a handler of its own for a signal."""
    status = KERNEL.text(f"{pid}/status")
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(masks) and bool(int(masks[0], 16) >> (signal - 1) & 1)
