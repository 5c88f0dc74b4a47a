"""The source: a place where another library has kept runs, behind one interface."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from accel_track.trackers.backend_run import BackendRun


class Source(ABC):
    """Runs that another library has kept in a folder, a file or a server.

    A third party adds one by an entry point of the group `accel_track.sources`, whose name is the source's.

    Args:
        place: The folder or file, absolute, or the address of a server.
        options: Further settings by name, as `--set NAME=VALUE` gives them.

    Raises:
        ValueError: An option is unknown, or has a value that it cannot have.
    """

    name: ClassVar[str]
    """What `--from` calls it, such as "wandb"."""

    what: ClassVar[str]
    """What it reads, as a phrase for people: "wandb's offline runs (folders offline-run-…, .wandb files)"."""

    sdk: ClassVar[str | None] = None
    """Name of the third-party module that reads it, if one does."""

    install: ClassVar[str | None] = None
    """What to pass to `pip install` to get that module."""

    options: ClassVar[Mapping[str, str]] = {}
    """What each option is, by its name."""

    cannot_give: ClassVar[str] = ""
    """What of a run the source does not have, or does not read: sentences for the table in the documents."""

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
        """Whether there is something of this kind in a place, by its content; imports no SDK, and never raises.

        Args:
            place: The folder or file, absolute, or an address such as `http://…` or `sqlite:///…`.
        """

    @abstractmethod
    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first where that is cheap to know.

        Raises:
            NotReadableError: The place as a whole cannot be read; the message says why.
        """

    @classmethod
    def installed(cls) -> bool:
        """Whether the module that reads it can be imported; does not import it."""
        return cls.sdk is None or importlib.util.find_spec(cls.sdk) is not None
