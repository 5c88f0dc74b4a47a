"""Memory as the kernel counts it: what a process and its control group have, and how many it has killed for it.

Linux only; elsewhere, and for what the kernel does not tell, there is None. Sources: the kernel's documentation of
`memory.events` and `memory.max` (cgroup-v2.rst), of `memory.oom_control` (cgroup-v1/memory.rst), and proc(5).
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import msgspec

_UNLIMITED = 2**60
"""Bytes from which on a limit of version 1 is none."""


class Memory(msgspec.Struct):
    """The kernel's counts at one moment; sizes in bytes.

    Attributes:
        process: Resident memory of the process.
        used: Memory of the process's control group, caches included.
        limit: What the group may use: the least limit of it and of those around it.
        killed: How many processes of the group were killed for memory since it was made.
        available: What programs of the machine can still have.
        total: The machine's memory.
        machine_killed: How many processes of the machine were killed for memory since it was started; asked for where
            `killed` is not known.
    """

    process: int | None = None
    used: int | None = None
    limit: int | None = None
    killed: int | None = None
    available: int | None = None
    total: int | None = None
    machine_killed: int | None = None


class Kernel:
    """The files in which the kernel tells.

    Args:
        proc: Where `proc` is mounted.
        groups: Where control groups are mounted.
    """

    def __init__(self, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> None:
        """Read nothing yet."""
        self._proc, self._groups = Path(proc), Path(groups)

    def group(self, pid: int | str = "self") -> str | None:
        """Return the folder of the control group that counts a process's memory, below `groups`, or None."""
        for line in self._text(self._proc / str(pid) / "cgroup").splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "memory":
                mounts = ["memory", ""]
            elif number == "0":
                mounts = ["", "unified"]
            else:
                continue
            for mount in mounts:
                # In a container, the path may be the machine's, and what is mounted only the container's own.
                for name in (f"{mount}{path}".strip("/"), mount):
                    if any((self._groups / name / file).exists() for file in ("memory.events", "memory.oom_control")):
                        return name
        return None

    def memory(self, group: str | None, pid: int | str | None = "self") -> Memory:
        """Return the kernel's current counts.

        Args:
            group: What `group` returned, maybe in another process; a path that leads out of `groups` is none.
            pid: The process, or None for none.
        """
        machine = _numbers(self._text(self._proc / "meminfo"), 1024)
        found = Memory(available=machine.get("MemAvailable"), total=machine.get("MemTotal"))
        if pid is not None:
            found.process = _numbers(self._text(self._proc / str(pid) / "status"), 1024).get("VmRSS")
        if group is not None and ".." not in group.split("/") and not group.startswith("/"):
            self._of_group(self._groups / group, found)
        if found.killed is None:
            found.machine_killed = _numbers(self._text(self._proc / "vmstat")).get("oom_kill")
        return found

    def _of_group(self, folder: Path, found: Memory) -> None:
        for used, limit, events in (
            ("memory.current", "memory.max", "memory.events"),
            ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
        ):
            if (folder / events).exists():
                found.used = _number(self._text(folder / used))
                found.killed = _numbers(self._text(folder / events)).get("oom_kill")
                around = [folder, *folder.parents][: len(folder.relative_to(self._groups).parts) + 1]
                limits = [number for one in around if (number := _number(self._text(one / limit))) is not None]
                found.limit = min((one for one in limits if one < _UNLIMITED), default=None)
                return

    def text(self, name: str) -> str:
        """Return the content of a file of `proc`, empty if there is none."""
        return self._text(self._proc / name)

    def _text(self, path: Path) -> str:
        with suppress(OSError, ValueError):
            return path.read_text()
        return ""


KERNEL = Kernel()
"""This machine's."""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _numbers(text: str, unit: int = 1) -> dict[str, int]:
    """Return the numbers of lines such as `MemTotal:   16306496 kB` and `oom_kill 1`, by name."""
    found = re.findall(r"^(\w+):?[ \t]+(\d+)(?: kB)?$", text, re.MULTILINE)
    return {name: int(number) * unit for name, number in found}
