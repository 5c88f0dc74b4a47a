"""The environment of a run: program, code version, machine, packages."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from accel_track.redaction import REDACTED, redacted_command, scrubbed

_SECONDS_FOR_GIT = 2.0


def describe_environment(redact: bool = True) -> dict[str, Any]:
    """Return a description of the program, its code and its machine, as plain data for a run's configuration.

    Unknown facts are left out, and nothing is raised. Git is waited for two seconds at most.

    Args:
        redact: Whether the values of options such as `--api-key` are replaced by "***".

    Returns:
        `python`, `platform`, `host`, `command`, `cpus` (those that this process may use) and, where there are any,
        `git` (`commit`, `branch`, `dirty`, `remote`), `slurm_job_id`, `gpus` (names, once the process uses CUDA) and
        `packages` ("name==version" lines of the installed distributions that the process has imported).
    """
    parts: dict[str, Callable[[], Any]] = {
        "python": platform.python_version,
        "platform": platform.platform,
        "host": platform.node,
        "command": lambda: shlex.join(redacted_command(sys.argv) if redact else sys.argv),
        "git": _git,
        "slurm_job_id": lambda: os.environ.get("SLURM_JOB_ID"),
        "cpus": _cpus,
        "gpus": _gpus,
        "packages": _packages,
    }
    described: dict[str, Any] = {}
    for name, read in parts.items():
        with suppress(Exception):  # one broken installation must not hide the rest, or stop training
            value = read()
            if value:
                described[name] = value
    return described


def _git() -> dict[str, Any]:
    """Describe the repository that the program is in, or else the working directory; nothing if there is none.

    Files that git does not know do not make it dirty.
    """
    deadline = time.monotonic() + _SECONDS_FOR_GIT
    for folder in dict.fromkeys((_program_folder(), os.curdir)):
        head = _ask_git(folder, deadline, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
        if not head:
            continue
        commit, branch = head.split("\n")
        described: dict[str, Any] = {"commit": commit}
        if branch != "HEAD":  # detached
            described["branch"] = branch
        remote = _ask_git(folder, deadline, "config", "--get", "remote.origin.url")
        if remote:
            described["remote"] = scrubbed(remote).replace(f"{REDACTED}@", "")
        # Last: it reads the whole working tree.
        changes = _ask_git(folder, deadline, "status", "--porcelain", "--untracked-files=no")
        if changes is not None:
            described["dirty"] = bool(changes)
        return described
    return {}


def _program_folder() -> str:
    """Return the folder of the program, or the working directory for an installed program such as an entry point.

    An environment may be in a repository that is not the user's: pyenv's folder is a clone of pyenv.
    """
    folder = Path(sys.argv[0]).resolve().parent
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("scripts", "purelib", "platlib")]
    if os.path.isfile(sys.argv[0]) and not any(folder.is_relative_to(one) for one in installed):
        return str(folder)
    return os.curdir


def _ask_git(folder: str, deadline: float, *arguments: str) -> str | None:
    """Return the output of git about a folder, or None if git fails, is missing or does not answer in time."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "--no-optional-locks", "-C", folder, *arguments],  # noqa: S607 - the user's own git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(0.0, deadline - time.monotonic()),
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(done.stdout).strip()


def _cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _gpus() -> list[str]:
    """Return the names of the visible GPUs.

    Only once CUDA is initialised: asking would initialise it, after which no forked process can use it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _packages() -> str:
    imported = {name.partition(".")[0] for name in list(sys.modules)}
    lines: dict[str, str] = {}
    for distribution in distributions():
        with suppress(Exception):  # without metadata: the rest of an uninstalled package
            name = distribution.name
            if name.lower().replace("-", "_") in imported or not imported.isdisjoint(_top_level(distribution)):
                lines.setdefault(name, f"{name}=={distribution.version}")  # the first on the path is what is imported
    return "\n".join(sorted(lines.values(), key=str.lower))


def _top_level(distribution: Distribution) -> set[str]:
    """Return the names of a distribution's modules, and some that are none.

    `importlib.metadata.packages_distributions` is exact, but makes an object of every installed file.
    """
    text = distribution.read_text("top_level.txt")
    if text:
        return set(text.split())
    files = (distribution.read_text("RECORD") or "").splitlines()
    return {file.partition(",")[0].partition("/")[0].partition(".")[0] for file in files}
