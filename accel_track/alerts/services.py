"""The services that get alerts: those of the variable `ACCEL_TRACK_NOTIFY`, through apprise, each in a thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

from tenacity import RetryCallState, Retrying, retry_if_not_result, wait_random_exponential

from accel_track.alerts.limits import Limit
from accel_track.errors import WORKER_NAME, MissingPackageError
from accel_track.records import Alert
from accel_track.trackers.installing import install_command

VARIABLE = "ACCEL_TRACK_NOTIFY"
PATIENCE = 600.0
"""Seconds after which an alert that a service does not take is given up."""
MOST = 20
"""The number of alerts that a run sends in an hour, at most."""
_LONGEST_WAIT = 60.0
_SHOWN = 5


def wanted() -> bool:
    """Return whether there are services to which alerts are sent.

    Raises:
        MissingPackageError: There are, and apprise is not installed.
        ValueError: The variable holds no address.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return False
    if "://" not in given:
        message = (
            f"{VARIABLE} must be addresses as apprise has them, such as mailto://… or discord://…, between commas."
        )
        raise ValueError(message)
    if find_spec("apprise") is None:
        message = f"{VARIABLE} is set, and the package 'apprise' is missing; {install_command('accel-track[notify]')}"
        raise MissingPackageError(message)
    return True


class Services:
    """The sending of alerts to all services, so many in an hour; nothing here waits for them but `close`.

    Args:
        run: What to call the run in messages.
        sent: Called, in a thread, with the id of each alert that all services have got, or that was given up.
        most: How many are sent in an hour.
        patience: Seconds after which an alert that a service does not take is given up.
    """

    def __init__(self, run: str, sent: Callable[[str], None], *, most: int = MOST, patience: float = PATIENCE) -> None:
        """Read the addresses. They stay in memory."""
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines may hold addresses
        self._run, self._sent = run, sent
        self._limit = Limit(most)
        self._held: list[str] = []
        self.problem: str | None = None
        """The problem of a service, without its address, or None."""
        found, unknown = _services()
        if unknown:
            self.problem = (
                f"{VARIABLE} has addresses that apprise does not know; see the kinds at https://appriseit.com"
            )
        self._all = [_Service(one, patience, self._note) for one in found]

    def send(self, id: str, alert: Alert) -> None:  # noqa: A002 - the word of alerts
        """Send an alert soon, unless there were too many."""
        if not self._limit.passes():
            self._held.append(alert.title)
            return
        self._release()
        self._put(id, alert)

    def _put(self, id: str, alert: Alert) -> None:  # noqa: A002 - as above
        left = {one.name for one in self._all}
        message = _Message(f"{alert.title} ({self._run})", alert.text or alert.title, alert.level)
        for one in self._all:
            one.put(message, partial(self._got, id, left, one.name))

    def _got(self, id: str, left: set[str], name: str) -> None:  # noqa: A002 - as above
        left.discard(name)
        if not left and id:
            self._sent(id)

    def _release(self) -> None:
        """Tell the number of alerts that were held back."""
        if count := self._limit.release():
            titles = ", ".join(dict.fromkeys(self._held[-_SHOWN:]))
            self._held.clear()
            self._put("", Alert(f"{count} more alerts", f"{titles}; a run sends at most {MOST} an hour"))

    def close(self, timeout: float) -> None:
        """Send the remaining alerts, in that time at most."""
        self._release()
        end = time.monotonic() + timeout
        for one in self._all:
            one.close(end)
        for one in self._all:
            one.join(max(0.0, end - time.monotonic()))

    def _note(self, problem: str) -> None:
        self.problem = problem


class _Message(NamedTuple):
    title: str
    text: str
    level: str


class _Service:
    """One service and the thread that sends to it."""

    def __init__(self, service: Any, patience: float, note: Callable[[str], None]) -> None:
        self._service, self._patience, self._note = service, patience, note
        self.name = f"{service.name} {id(self)}"
        self._waiting: deque[tuple[_Message, Callable[[], None]]] = deque()
        self._news = threading.Event()
        self._end = float("inf")
        self._thread = threading.Thread(target=self._work, name=f"{WORKER_NAME}notify", daemon=True)
        self._thread.start()

    def put(self, message: _Message, then: Callable[[], None]) -> None:
        self._waiting.append((message, then))
        self._news.set()

    def close(self, end: float) -> None:
        self._end = end
        self._news.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _work(self) -> None:
        while self._waiting or self._end == float("inf"):
            if not self._waiting:
                self._news.wait()
                self._news.clear()
                continue
            message, then = self._waiting.popleft()
            self._deliver(message)
            then()

    def _deliver(self, message: _Message) -> None:
        """Send a message, again and again with growing pauses until the service takes it."""
        begun = time.monotonic()

        def over(_: RetryCallState) -> bool:
            return time.monotonic() >= min(begun + self._patience, self._end)

        def wait(seconds: float) -> None:
            self._news.wait(max(0.0, min(seconds, self._end - time.monotonic())))
            self._news.clear()

        Retrying(
            retry=retry_if_not_result(bool),
            wait=wait_random_exponential(max=_LONGEST_WAIT),
            stop=over,
            sleep=wait,
            retry_error_callback=lambda _: self._note(f"{self._service.name}: an alert was given up"),
        )(self._taken, message)

    def _taken(self, message: _Message) -> bool:
        """Return whether the service takes a message now."""
        try:
            taken = self._service.send(message)
        except Exception:  # noqa: BLE001 - of a plugin of apprise's; its text may hold the address
            taken = False
        if not taken:
            self._note(f"{self._service.name} has not taken an alert")
        return bool(taken)


class _Apprise:
    """One service of apprise's."""

    def __init__(self, apprise: Any, service: Any, asset: Any) -> None:
        self.name = str(service.service_name or "a service")
        self._one = apprise.Apprise(asset=asset)
        self._one.add(service)
        self._types = {"info": "info", "warning": "warning", "error": "failure"}

    def send(self, message: _Message) -> bool:
        return bool(self._one.notify(message.text, message.title, self._types[message.level]))


def _services() -> tuple[list[_Apprise], bool]:
    """Return the services, and whether there are addresses of none."""
    import apprise

    # Nothing on the disk, no threads of its own, and no replacements in texts.
    asset = apprise.AppriseAsset(async_mode=False, app_id="accel_track", storage_mode="memory", interpret_escapes=False)
    whole = apprise.Apprise(asset=asset)
    unknown = not whole.add(os.environ.get(VARIABLE, ""))
    return [_Apprise(apprise, one, asset) for one in whole], unknown
