"""The process around ClearML: its credentials, its reporting, its signals and its child processes."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accel_track.trackers.fast import FastPath

_FALSE = ("", "0", "false", "no", "off", "n", "f")


class Process(FastPath):
    """Settings by which threads report, if the user's `clearml.conf` has none, without a look for new versions.

    ClearML's default on Linux, a reporting process, makes single calls wait for seconds and the end for ten or more.
    The look for new versions asks a server, also offline.

    Args:
        native: The module `clearml`.
    """

    distribution = "clearml"
    of_module = True
    tested = ">=2.1"  # small enough a part of the SDK for later versions to be tried, too
    parts = (
        "clearml.config:config.get",
        "clearml.utilities.check_updates:CheckPackageUpdates._package_version_checked",
    )
    attributes = ("Task._report_subprocess_enabled",)

    def tune(self) -> None:
        """Set both for the process."""
        from clearml.config import config
        from clearml.utilities.check_updates import CheckPackageUpdates

        if config.get("development.report_use_subprocess", None) is None:
            self.native.Task._report_subprocess_enabled = False  # noqa: SLF001 - no public setting outside the file
        CheckPackageUpdates._package_version_checked = True  # noqa: SLF001 - no public setting


def has_credentials() -> bool:
    """Return whether ClearML has a task, is offline, or finds keys in the environment or its configuration files."""
    clearml = sys.modules.get("clearml")
    if clearml is not None and (clearml.Task.is_offline() or clearml.Task.current_task() is not None):
        return True
    if variable("OFFLINE_MODE").lower() not in _FALSE or variable("AUTH_TOKEN"):
        return True
    text = _configuration()
    return all(variable(f"API_{kind.upper()}_KEY") or _has_value(f"{kind}_key", text) for kind in ("access", "secret"))


def variable(name: str) -> str:
    """Return ClearML's environment variable of that name, also under the prefix of former times, or an empty text."""
    return (os.environ.get(f"CLEARML_{name}") or os.environ.get(f"TRAINS_{name}") or "").strip()


def _configuration() -> str:
    """Return the text of the files in which ClearML looks for its configuration."""
    file, folder = (os.path.expanduser(os.path.expandvars(variable(f"CONFIG_{kind}"))) for kind in ("FILE", "PATH"))
    files = [Path(file)] if file else [Path.home() / "clearml.conf", Path.home() / "trains.conf"]
    files += Path(folder).rglob("*.conf") if folder else []
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file())


def _has_value(name: str, text: str) -> bool:
    """Return whether a text in the HOCON format gives the key a value, outside of comments."""
    return re.search(rf'^(?!\s*(?:#|//)).*\b{name}"?\s*[:=]\s*"?[^\s"}},]', text, re.MULTILINE) is not None


@contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Undo that `Task.init` replaces all handlers of signals, and `Task.close` those that the user set in between.

    ClearML's handlers swallow SIGTERM where nobody else handles it, run a handler of the user's twice, after the task
    is closed, and let a crash in C code hang. Off the main thread, neither ClearML nor anybody else can set handlers.
    """
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                foreign = handler is None or str(getattr(handler, "__module__", "")).startswith("clearml")
                if not foreign and signal.getsignal(number) != handler:
                    signal.signal(number, handler)


def forget_closed_task() -> None:
    """Remove the variable in which `Task.close` leaves the process's id.

    Programs started later would take themselves for parts of this one, and `Task.init` would give them a stub that
    takes everything and stores nothing. With a task's id behind the colon, they are meant to join that task.
    """
    for name in ("CLEARML_PROC_MASTER_ID", "TRAINS_PROC_MASTER_ID"):
        if os.environ.get(name, "").endswith(":"):
            del os.environ[name]
