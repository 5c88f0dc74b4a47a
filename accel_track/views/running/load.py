"""The load of a run's machine: what the run has logged of it, else what its process takes."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from accel_track.journal.info import RunInfo
    from accel_track.views.content import Content

_FRESH = 300.0
"""Seconds for which a measurement that the run has logged counts."""
_GPU = re.compile(r"system/gpu\d+/(utilization|memory)_percent")


class Load(NamedTuple):
    """The load of a machine; None for an unknown number.

    Attributes:
        source: "run": of the whole machine, as the run's `system/…` metrics say; "process": of its process alone.
        cpu_percent: Of all processors; of a process, 100 for each processor that it keeps busy.
        memory_percent: Of the machine's memory.
        process_memory_gb: Resident memory in 10^9 bytes: of process and children by the run, else of the process.
        gpu_percent: Mean use of the GPUs.
        gpu_memory_percent: Mean use of their memory.
    """

    source: str
    cpu_percent: float | None = None
    memory_percent: float | None = None
    process_memory_gb: float | None = None
    gpu_percent: float | None = None
    gpu_memory_percent: float | None = None


class LoadMeter:
    """The meter of one run's load, look after look."""

    def __init__(self) -> None:
        """Look at no process yet."""
        self._process: psutil.Process | None = None

    def look(self, info: RunInfo, content: Content, now: float) -> Load | None:
        """Return the load, or None if nothing is known of it.

        Args:
            info: The run's `run.json`.
            content: Its content.
            now: Wall-clock time in seconds since 1970-01-01 UTC.
        """
        return _logged(content, now) or self._of_process(info)

    def _of_process(self, info: RunInfo) -> Load | None:
        if info.host != socket.gethostname() or info.pid <= 0:
            return None
        try:
            if self._process is None or self._process.pid != info.pid:
                self._process = psutil.Process(info.pid)
                self._process.cpu_percent()  # the next call tells what was used since this one
                cpu = None
            else:
                cpu = self._process.cpu_percent()
            return Load("process", cpu, process_memory_gb=self._process.memory_info().rss / 1e9)
        except (psutil.Error, ValueError, OverflowError):  # it is another user's, has ended, or is no number of one
            return None


def _logged(content: Content, now: float) -> Load | None:
    gpus: dict[str, list[float]] = {"utilization": [], "memory": []}
    found: dict[str, float] = {}
    for name, metric in content.metrics.items():
        if not name.startswith("system/") or (last := metric.last) is None or now - last.time > _FRESH:
            continue
        if not isinstance(last.value, (int, float)):
            continue
        found[name] = last.value
        if match := _GPU.fullmatch(name):
            gpus[match[1]].append(last.value)
    means = {kind: sum(values) / len(values) for kind, values in gpus.items() if values}
    if not found:
        return None
    return Load(
        "run",
        found.get("system/cpu_percent"),
        found.get("system/memory_percent"),
        found.get("system/process_memory_gb"),
        means.get("utilization"),
        means.get("memory"),
    )
