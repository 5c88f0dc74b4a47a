"""The importer: it turns a run of another library into a run directory like any other."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, NamedTuple

from accel_track.delivery.pruning import delete
from accel_track.files import make_private
from accel_track.importers.filling import LATEST, Filling, count_of, readable
from accel_track.importers.source import Source
from accel_track.journal.directory import IMPORTING, PARENT, RunDirectory
from accel_track.journal.info import ImportInfo, RunInfo
from accel_track.journal.locks import acquired
from accel_track.options import Settings
from accel_track.outcome import Outcome
from accel_track.redaction import redacted, scrubbed
from accel_track.texts import storable_text
from accel_track.trackers.backend_run import BackendRun
from accel_track.values.plain import check_config, check_name
from accel_track.values.structures import reason

UNTOLD = Outcome("finished", "imported; the source does not say how it ended, or whether it has")
"""The outcome of a run whose source has none."""

_PATIENCE = 3600.0
"""Seconds that an import waits for another one of the same run."""

_OFTEN = 10_000
"""Values from one sign of progress to the next."""

_LONGEST = 200
"""Bytes of a name: a run directory's has 255, and a rank or a number is put behind it."""

State = Literal["imported", "there", "changed", "replaced", "failed"]


class Imported(NamedTuple):
    """The result of an import of one run.

    Attributes:
        state: "imported"; "there" if there is a copy from an earlier import; "changed" if there is such a copy and the
            source has changed since; "replaced" if the new copy took the place of one that was delivered nowhere;
            "failed".
        directory: The run directory, or None.
        info: The content of its `run.json`, or None.
        values: Number of values, media and files in the source.
        lost: Number of entries that could not be read or kept, by a sentence about them.
        error: The reason of a failure; "" without one.
    """

    state: State
    directory: RunDirectory | None
    info: RunInfo | None
    values: int
    lost: Counter[str]
    error: str = ""


class Importer:
    """An importer of runs into one logging directory.

    Args:
        into: The logging directory, which gets the runs in its `.accel_track`.
        project: Name of the project. Default: the source's own project, else the name of the source's folder.
        again: Whether a run that has changed since an earlier import is imported anew: in place of the earlier copy,
            or as another run if the earlier copy was delivered anywhere.

    Raises:
        ValueError: `project` is unusable as a name.
    """

    def __init__(self, into: Path, project: str | None = None, *, again: bool = False) -> None:
        """Touch nothing yet."""
        self._into, self._again = into.absolute(), again
        self._project = None if project is None else check_name(project, "--project")
        self._store = self._into / PARENT
        self._names: dict[Path, str | None] = {}
        self._redact = Settings.of().redact

    def take(self, source: Source, run: BackendRun, tell: Callable[[int], None] = lambda _: None) -> Imported:
        """Import a run, unless there is a copy of it.

        Args:
            source: The source of the run.
            run: The run, of which nothing has been read yet.
            tell: A function that is called now and then with the number of values read so far.

        Returns:
            The result. A run that cannot be read is a result with the state "failed", and no exception.

        Raises:
            OSError: The run directory cannot be written; nothing is left of it.
            TimeoutError: Another process has been importing the run for an hour.
        """
        first_id = run_id_of(source, run)
        with self._alone(first_id):
            copies = list(self._copies(first_id))
            if copies and not self._again:
                values = self._counted(first_id, run, tell)
                info = copies[-1].load()
                state: State = "changed" if self._has_changed(info, run, values) else "there"
                return Imported(state, copies[-1], info, values, Counter(_origin(info).lost))
            return self._made(source, run, first_id, copies, tell)

    def _copies(self, run_id: str) -> Iterator[RunDirectory]:
        """Yield the run's copies, oldest first, in whichever project they are."""
        for number in itertools.count(1):
            name = run_id if number == 1 else f"{run_id}-{number}"
            found = next((path for path in self._store.glob(f"*/{name}/run.json")), None)
            if found is None:
                return
            yield RunDirectory(found.parent)

    def _counted(self, run_id: str, run: BackendRun, tell: Callable[[int], None]) -> int:
        """Return the number of values in a run, as far as it can be read; nothing is kept of them."""
        values, told = 0, 0
        scratch = self._beside(run_id)
        try:
            for record in readable(run, scratch):
                values += count_of(record)
                if values - told >= _OFTEN:
                    tell(told := values)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return values

    @staticmethod
    def _has_changed(info: RunInfo, run: BackendRun, values: int) -> bool:
        outcome = _outcome(run)
        return values != _origin(info).values or (outcome.status, outcome.reason) != (info.status, info.reason)

    def _made(
        self, source: Source, run: BackendRun, first_id: str, copies: list[RunDirectory], tell: Callable[[int], None]
    ) -> Imported:
        """Import the run, and put it in its place if there is no copy, or none that is the same."""
        half = self._beside(first_id)
        try:
            filling, begin = self._filled(half, source, run, tell)
            lost = run.lost + filling.lost
            if lost and not filling.values and not run.config:
                return Imported("failed", None, None, 0, lost, "nothing of it can be read")
            earlier = copies[-1] if copies else None
            if earlier is not None and not self._has_changed(info := earlier.load(), run, filling.values):
                return Imported("there", earlier, info, filling.values, Counter(_origin(info).lost))
            replaces = earlier is not None and not earlier.load().trackers and delete(earlier)
            number = len(copies) + (0 if replaces else 1)
            info = self._info(source, run, f"{first_id}-{number}" if number > 1 else first_id, begin)
            info.imported = ImportInfo(
                source.name, scrubbed(source.place), run.id, begin == run.created, filling.values, dict(lost)
            )
            directory = RunDirectory.of(self._into, info.project, info.run_id)
            if not directory.adopt(half, info, self._names):
                return Imported("there", directory, directory.load(), filling.values, lost)
            return Imported("replaced" if replaces else "imported", directory, info, filling.values, lost)
        finally:
            shutil.rmtree(half, ignore_errors=True)

    def _filled(
        self, half: Path, source: Source, run: BackendRun, tell: Callable[[int], None]
    ) -> tuple[Filling, float]:
        """Write a run's journal; return what was written, and when the run began."""
        scratch = half / "scratch"
        make_private(scratch)
        records = readable(run, scratch)
        first = next(records, None)
        known = [one for one in (run.created, getattr(first, "time", None)) if one is not None and 0 < one < LATEST]
        begin = known[0] if known else time.time()
        folder = _folder(source)
        places = [scratch] if folder is None else [scratch, folder]
        with contextlib.closing(Filling(RunDirectory(half).rank(), begin, places)) as filling:
            filling.config(self._config(run))
            filling.fill(itertools.chain([] if first is None else [first], records), tell, _OFTEN)
        shutil.rmtree(scratch)
        return filling, begin

    def _config(self, run: BackendRun) -> dict[str, object]:
        try:
            config = check_config(run.config)
        except TypeError as error:
            run.lost[f"the hyperparameters ({reason(error)})"] += 1
            return {}
        return redacted(config) if self._redact else config

    def _info(self, source: Source, run: BackendRun, run_id: str, begin: float) -> RunInfo:
        folder = _folder(source)
        project = self._project or plain_name(run.project, plain_name(folder.name if folder else "", "imported"))
        name = plain_name(run.name, plain_name(run.id, run_id))
        outcome = _outcome(run)
        return RunInfo(run_id, project, begin, name, outcome.status, outcome.reason, directory=os.fspath(self._into))

    def _beside(self, name: str) -> Path:
        """Return an empty folder, in which no run is looked for; what a killed process left of it is deleted."""
        folder = self._store / IMPORTING / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        make_private(folder)
        return folder

    @contextlib.contextmanager
    def _alone(self, run_id: str) -> Iterator[None]:
        """Keep other processes from importing the run in the meantime."""
        path = self._store / IMPORTING / f"{run_id}.lock"
        lock = acquired(path, _PATIENCE)
        if lock is None:
            message = f"another process has been importing this run for {_PATIENCE / 60:.0f} minutes"
            raise TimeoutError(message)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()  # who waits for it finds that out, and makes another
            lock.release()


def run_id_of(source: Source, run: BackendRun) -> str:
    """Return the id that a run has wherever it is imported: made of its source, its own id, and when it began.

    Where the source does not know that, the place stands for it, since "version_0" is in many folders.
    """
    created = None if run.created is None or not 0 < run.created < LATEST else run.created
    since = source.place if created is None else repr(created)
    digest = hashlib.sha256(json.dumps([source.name, run.id, since]).encode()).hexdigest()[:12]
    began = "imported" if created is None else f"{datetime.fromtimestamp(created, timezone.utc):%Y%m%d-%H%M%S}"
    return f"{began}-{digest}"


def plain_name(text: str | None, otherwise: str) -> str:
    """Return a text as the name of a run or project, which is a folder's; another one where nothing is left of it."""
    name = re.sub(r"[/\\]+", "-", storable_text(text or "").strip().strip("/"))
    name = re.sub(r"[\x00-\x1f\x7f-\x9f]|\.\.+", "_", name).encode()[:_LONGEST].decode(errors="ignore").strip()
    return name if name.strip("._- ") else otherwise


def _folder(source: Source) -> Path | None:
    """Return the folder of a source; None for an address."""
    place = Path(source.place)
    return None if not place.is_absolute() else place if place.is_dir() else place.parent


def _origin(info: RunInfo) -> ImportInfo:
    return info.imported or ImportInfo("", "", "")


def _outcome(run: BackendRun) -> Outcome:
    return UNTOLD if run.outcome is None else run.outcome
