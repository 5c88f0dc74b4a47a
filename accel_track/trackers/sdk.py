"""The base of the trackers around an SDK: the SDK's import and the life of its native object."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from accel_track.errors import MissingPackageError, NotConfiguredError, NotStartedError
from accel_track.media import images
from accel_track.noop import NoOp
from accel_track.state import process_index
from accel_track.trackers.base import GeneralTracker


class SDKTracker(GeneralTracker):
    """A tracker around one native object, `self.native`, which exists between `start` and `finish`.

    Subclasses set `native` in `start` and reset it to None in `finish`; both return at once if nothing is to be done.
    """

    sdk: ClassVar[str]
    install: ClassVar[str]
    thread_bound = False
    init_kwargs: dict[str, Any]
    native: Any = None

    @property
    def started(self) -> bool:
        """Whether the native object exists."""
        return self.native is not None

    @property
    def tracker(self) -> Any:
        """The SDK's own object; an object that does nothing on ranks where this tracker does not run.

        Raises:
            NotStartedError: `start` was not called yet, or `finish` was.
        """
        if self.native is not None:
            return self.native
        if self.main_process_only and process_index() != 0:
            return NoOp()
        message = f"{self.name}: not started, or finished already; call `init_trackers` (or `start`) before using it."
        raise NotStartedError(message)

    def check_configured(self) -> None:
        """Raise what is missing before the SDK could ask for it on the terminal.

        Raises:
            NotConfiguredError: There are neither credentials nor an offline setting; the message says what to set.
        """
        if (missing := self.not_configured(self.init_kwargs)) is not None:
            message = f"{self.name}: {missing}"
            raise NotConfiguredError(message)

    def images_of(self, values: Mapping[str, Any], keep: type | tuple[()] = ()) -> Iterator[tuple[str, list[Any]]]:
        """Yield each name and its images as `accel_track.media.images` returns them; count what is no image."""
        for name, value in values.items():
            try:
                found = images(value, keep)
            except (TypeError, ValueError, OSError) as error:  # noqa: PERF203 - a bad one must not lose the next
                self.drop(name, value, str(error))
            else:
                yield name, found

    def named_images(self, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield every image with a name of its own: a single one keeps the name, several get `name/0`, `name/1`, …."""
        for name, found in self.images_of(values):
            for index, image in enumerate(found):
                yield (name if len(found) == 1 else f"{name}/{index}"), image

    def import_sdk(self) -> Any:
        """Import and return the SDK.

        Raises:
            MissingPackageError: It is not installed; the message holds the command that installs it.
        """
        try:
            return importlib.import_module(self.sdk)
        except ModuleNotFoundError as error:
            message = f"{self.name}: the package {error.name!r} is missing; {install_command(self.install)}"
            raise MissingPackageError(message) from error


def install_command(requirement: str) -> str:
    """Return the sentence that tells how to install an SDK into the running interpreter."""
    return f'install it with: "{sys.executable}" -m pip install "{requirement}"'


def setting(init_kwargs: Mapping[str, Any], argument: str, variable: str) -> str:
    """Return an SDK's setting from the keyword arguments, else the environment, as lower-case text ('' if unset)."""
    value = init_kwargs.get(argument)
    return str(os.environ.get(variable, "") if value is None else value).strip().lower()


def unreachable(url: str) -> bool:
    """Whether nobody listens at the host and port of a URL; waits 5 seconds at most.

    For SDKs that raise the same for a refused key and for a server that is down.
    """
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)), 5).close()
    except OSError:
        return True
    return False
