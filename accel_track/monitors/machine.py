"""Measurements of the machine that a run is on: processors, memory, disk, GPUs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

_GIGABYTE = 1e9


class SystemMetrics:
    """Measurements of the machine, for a run's metrics.

    GPUs are read through NVML, with the package nvidia-ml-py where it is installed. They are those that the program
    may use, in the order of `CUDA_VISIBLE_DEVICES`; without that variable all of the machine's, in NVML's order.

    Args:
        directory: A folder on the disk to measure, such as a run's.
    """

    def __init__(self, directory: str | os.PathLike[str] = os.curdir) -> None:
        """Find the GPUs and begin to count processor time; nothing is raised."""
        self._directory = directory
        self._nvml, self._gpus = _gpus()
        self._processor_time: tuple[float, float] | None = None
        with suppress(Exception):
            self._cpu_percent()

    def sample(self) -> dict[str, float]:
        """Return the values that can be measured now; nothing is raised, and no GPU is waited for.

        Returns:
            `system/cpu_percent`: of all processors, since the sample before, or the construction.
            `system/memory_percent`: of the machine's memory.
            `system/process_memory_gb`: resident memory of this process and its children, in 10^9 bytes. Memory that
            they share counts for each.
            `system/disk_percent`: of the disk.
            For each GPU `system/gpu0/utilization_percent`, `memory_percent`, `temperature_celsius` and `power_watts`.
        """
        readings: dict[str, Callable[[], float | None]] = {
            "system/cpu_percent": self._cpu_percent,
            "system/memory_percent": lambda: psutil.virtual_memory().percent,
            "system/process_memory_gb": _process_memory,
            "system/disk_percent": lambda: psutil.disk_usage(os.fspath(self._directory)).percent,
        }
        for index, gpu in enumerate(self._gpus):
            readings |= _gpu_readings(self._nvml, gpu, f"system/gpu{index}/")
        values: dict[str, float] = {}
        for name, read in readings.items():
            # A process that ends meanwhile, a disk that is gone, a GPU that cannot tell: that value is left out.
            with suppress(Exception):
                value = read()
                if value is not None:
                    values[name] = float(value)
        return values

    def _cpu_percent(self) -> float | None:
        """Return the share of busy time since the last call; `psutil.cpu_percent` counts from anyone's last call."""
        times = psutil.cpu_times()
        idle: float = times.idle + getattr(times, "iowait", 0.0)
        guests: float = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # `user` includes them
        total: float = sum(times) - guests
        before, self._processor_time = self._processor_time, (idle, total)
        if before is None or total <= before[1]:
            return None
        return 100.0 * min(1.0, max(0.0, 1.0 - (idle - before[0]) / (total - before[1])))


def _process_memory() -> float:
    process = psutil.Process()
    total = float(process.memory_info().rss)
    for child in process.children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            total += child.memory_info().rss
    return total / _GIGABYTE


def _gpus() -> tuple[Any, list[Any]]:
    """Return NVML's module and the handles of the GPUs that the program may use; none without a driver."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            return nvml, [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return nvml, [_gpu(nvml, name.strip()) for name in visible.split(",") if name.strip() not in ("", "-1")]
    except Exception:  # noqa: BLE001 - no package, no driver, a driver of another version: there is nothing to measure
        return None, []


def _gpu(nvml: Any, name: str) -> Any:
    return nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(name)


def _gpu_readings(nvml: Any, gpu: Any, prefix: str) -> dict[str, Callable[[], float | None]]:
    def memory_percent() -> float:
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
        return 100.0 * float(memory.used) / float(memory.total)

    return {
        f"{prefix}utilization_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
        f"{prefix}memory_percent": memory_percent,
        f"{prefix}temperature_celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        f"{prefix}power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000.0,  # milliwatts
    }
