"""The source: a place where another library has kept runs, behind one interface."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from accel_track.trackers.backend_run import BackendRun


class Source(ABC):
    """The base class of a source: runs that another library has kept in a folder, a file or a server.

    A package adds a source by an entry point of the group `accel_track.sources`, whose name is the source's.

    Args:
        place: The folder or file, absolute, or the address of a server.
        options: Further settings by name, from `--set NAME=VALUE` on the command line.

    Raises:
        ValueError: An option is unknown, or has an impossible value.
    """

    name: ClassVar[str]
    """Name of the source for `--from`, such as "wandb"."""

    what: ClassVar[str]
    """Description of the runs that the source reads, such as "wandb's offline runs (folders offline-run-…)"."""

    sdk: ClassVar[str | None] = None
    """Name of the third-party module that reads the runs; None if there is none."""

    install: ClassVar[str | None] = None
    """Requirement that `pip install` needs to install that module."""

    options: ClassVar[Mapping[str, str]] = {}
    """Descriptions of the options by their names."""

    cannot_give: ClassVar[str] = ""
    """The parts of a run that the source does not have, or does not read: sentences for the table of sources."""

    def __init__(self, place: str, options: Mapping[str, str] | None = None) -> None:
        """Keep the place and the options; read nothing yet."""
        self.place = place
        self.given: Mapping[str, str] = options or {}
        if unknown := sorted(set(self.given) - set(self.options)):
            known = ", ".join(self.options) or "none"
            message = f"{self.name}: unknown option {unknown[0]!r}; it takes {known}."
            raise ValueError(message)

    @classmethod
    @abstractmethod
    def recognises(cls, place: str) -> bool:
        """Return whether a place has runs of this kind, by its content. This imports no SDK, and never raises.

        Args:
            place: The folder or file, absolute, or an address such as `http://…` or `sqlite:///…`.
        """

    @abstractmethod
    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first if their order is cheap to know.

        Raises:
            NotReadableError: The place as a whole cannot be read; the message says why.
        """

    @classmethod
    def installed(cls) -> bool:
        """Return whether the module that reads the runs can be imported, without importing it."""
        return cls.sdk is None or importlib.util.find_spec(cls.sdk) is not None
