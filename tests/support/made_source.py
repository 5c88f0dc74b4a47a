"""A source whose runs a test makes, and a journal read back."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from accel_track.delivery.media import KeptMedia
from accel_track.importers.source import Source
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import AnyRecord, Config, Metrics
from accel_track.trackers.backend_run import BackendRun

BEGIN = 1_700_000_000.0


class MadeRun(BackendRun):
    """A run of given records, or of what a function of the scratch folder yields."""

    def __init__(
        self,
        id: str = "r1",  # noqa: A002 - as the base
        logged: Iterable[Any] | Callable[[Path], Iterable[Any]] = (),
        *,
        created: float | None = BEGIN,
        outcome: Outcome | None = FINISHED,
        **more: Any,
    ) -> None:
        super().__init__(id)
        self.created, self.outcome, self.name = created, outcome, id
        self._logged = logged
        for name, value in more.items():
            setattr(self, name, value)

    def records(self, scratch: Path) -> Iterator[Any]:
        yield from self._logged(scratch) if callable(self._logged) else self._logged


class MadeSource(Source):
    """A place with these runs."""

    name = "made"
    what = "runs of a test"
    made: ClassVar[list[BackendRun]] = []

    @classmethod
    def recognises(cls, place: str) -> bool:
        return (Path(place) / "made").exists()

    def runs(self) -> Iterator[BackendRun]:
        yield from self.made


def calls(count: int, **values: Any) -> list[Metrics]:
    """Return calls, one a second, of these values or of a loss."""
    return [Metrics(-1, BEGIN + step, {"loss": step / 2, **values}, step) for step in range(count)]


def read(run: RunDirectory) -> list[AnyRecord]:
    """Return a run's records, with their media."""
    media = KeptMedia(run.rank())
    return [media.whole(record) for record in JournalReader(run.rank())]


def metrics(run: RunDirectory) -> list[Metrics]:
    """Return a run's calls."""
    return [record for record in read(run) if isinstance(record, Metrics)]


def config(run: RunDirectory) -> dict[str, Any]:
    """Return a run's hyperparameters."""
    return {name: value for one in read(run) if isinstance(one, Config) for name, value in one.values.items()}
