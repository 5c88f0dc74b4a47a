"""The tracker for Aim."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError
from accel_track.folders import is_address
from accel_track.trackers.aim.artifacts import ArtifactsPath, delete_checkpoint, store_checkpoint, without_artifacts
from accel_track.trackers.aim.fast import Number, NumbersPath, all_have_steps
from accel_track.trackers.aim.remote import QueuePath
from accel_track.trackers.aim.values import EMPTY, INT64, encodable, has_caption, is_native
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import Gate
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.set_up import alone_at
from accel_track.values.plain import is_number, leaves, storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from accel_track.outcome import Outcome
    from accel_track.records import Metrics

_KNOWN = {"context", "epoch"}
"""The further arguments of `Run.track`."""

_Refused = tuple[str, Any, str]
"""Name, value, and why Aim does not take it."""


class AimTracker(SDKTracker):
    """One `aim.Run` in the repository `<logging_dir>/.aim`, which is created when missing.

    Numbers become metrics, strings `aim.Text`; Aim's own objects (`aim.Distribution`, `aim.Figure`, `aim.Audio`, …) can
    be logged as they are. Names of nested dictionaries are joined with "/"; hyperparameters keep their nesting, in
    `run["hparams"]`. Integers beyond 64 bits are stored as floating-point metrics and as text hyperparameters. A second
    value at the same step replaces the first, so one delivered again changes nothing; values without a step are counted
    on from the last. After `rewind`, an old value stays until its step is logged again. Values have the time of the
    call that logged them, but that of the delivery where the repository is remote or AIM_ENABLE_TRACKING_THREAD is set.

    Aim knows ended runs and no status: a run that ended well is reported as such to `aim-watcher`, and how another one
    ended is a message of the run. Checkpoints are artifacts named `checkpoints/<name>/…`, with what is known of them in
    `run["checkpoints"]`. Where the run has no `artifacts_uri`, it is the folder `aim_artifacts` beside the repository.
    On S3 they are not deleted, for that is not tested.

    Aim's capture of the terminal is off unless `capture_terminal_logs=True`: it replaces `sys.stdout.write`, and where
    another SDK wraps `sys.stdout` too, as Comet does, every later `print` ends in a RecursionError. System metrics are
    on, every 10 seconds, as in Aim itself; `system_tracking_interval=None` turns them off.

    `aim up` shows runs at once, live too. Aim's query functions see a new repository only after `aim up` or
    `aim storage reindex` has indexed it.

    Args:
        run_name: Name of the run, or None to let Aim choose.
        logging_dir: Folder of the repository, or an `aim://` address.
        **kwargs: Passed to `aim.Run`, e.g. `experiment`, `run_hash`, `system_tracking_interval`.
    """

    name = "aim"
    requires_logging_directory = True
    takes_address = True
    sdk = "aim"
    install = "aim>=3.29"
    keeps_nesting = True
    keeps_time = True
    batch_size = 1000
    keeps_status = True
    fast_paths = (NumbersPath, ArtifactsPath, QueuePath)

    def __init__(self, run_name: str | None, logging_dir: str | os.PathLike[str] = ".", **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.logging_dir = logging_dir
        self.init_kwargs = kwargs
        self._numbers = Gate(self.name, NumbersPath)
        self._artifacts = Gate(self.name, ArtifactsPath)
        self._remote = Gate(self.name, QueuePath)
        self._waiting: list[Number] = []
        self._stored: set[tuple[int, float]] = set()

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use the project as Aim's experiment and the directory as its repository."""
        return cls(**{"run_name": run_name, "logging_dir": directory, "experiment": project, **init_kwargs})

    @on_main_process
    def start(self) -> None:
        """Open the run."""
        if self.started:
            return
        defaults = {"repo": os.fspath(self.logging_dir), "capture_terminal_logs": False}
        arguments = {**defaults, **self.init_kwargs}
        run_class = self.import_sdk().Run
        with _opening(arguments["repo"]):
            run = run_class(**arguments)
        try:
            if self.run_name is not None:
                run.name = self.run_name
        except BaseException:
            run.close()
            raise
        self._stored.clear()
        self.native = run
        self._numbers.open(run)
        self._artifacts.open(run)
        self._remote.open(run)
        self.durable_flush = self._remote.fast is not None or not run.repo.is_remote_repo

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters; later calls, and those of a resumed run, add to earlier ones."""
        run = self.tracker
        run["hparams"] = {**run.get("hparams", {}), **encodable(storable(values))}

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Store it beside the hyperparameters."""
        for name, value in encodable(storable(values)).items():
            self.tracker[name] = value

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Track metrics, texts and Aim's own objects; `kwargs` go to `Run.track` (`context`, `epoch`)."""
        numbers, refused = self._log(values, step, self.now(), kwargs)
        self._waiting.extend(numbers)
        self._write(refused)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Track what several calls logged, their numbers in one step.

        Where a call fails, those before it are stored, and left out when they come again together with later ones.
        """
        done: list[tuple[int, float]] = []
        refused: list[_Refused] = []
        try:
            for record in records:
                which = (record.seq, record.time)
                if which not in self._stored:
                    kwargs = record.kwargs.get(self.name, {})
                    with self.taken.within(record):
                        numbers, bad = self._log(record.values, record.step, record.time, kwargs)
                    self._waiting.extend(numbers)
                    refused.extend(bad)
                done.append(which)
        except Exception:
            self._write(refused)
            self._stored.update(done)
            raise
        self._write(refused)
        self._stored.difference_update(done)

    def _log(
        self, values: Mapping[str, Any], step: int | None, moment: float, kwargs: Mapping[str, Any]
    ) -> tuple[list[Number], list[_Refused]]:
        """Track what one call logged; return the numbers that `_write` is to store, and what Aim refused."""
        numbers: list[Number] = []
        refused: list[_Refused] = []
        for key, value in leaves(values):
            name = key or EMPTY
            if is_number(value):
                if isinstance(value, int) and not -INT64 <= value < INT64:
                    value = float(value)  # noqa: PLW2901
                if not kwargs and self._fits(name, value):
                    numbers.append((name, value, step, moment))
                    continue
                self._write(())  # numbers of this name that came before
            elif not isinstance(value, str) and not is_native(value):
                refused.append((key, value, ""))
                continue
            if reason := self.taken.part(name, partial(self._track, name, value, step, moment, kwargs), ""):
                refused.append((key, value, reason))
        return numbers, refused

    def _write(self, refused: Sequence[_Refused]) -> None:
        """Store the numbers that wait; if that fails, their calls come again. Then count what Aim refused."""
        waiting, self._waiting = self._waiting, []
        if waiting and not self._send(waiting):
            for name, value, step, moment in waiting:
                self._track(name, value, step, moment, {})
        for one in refused:
            self.drop(*one)

    def _fits(self, name: str, value: float) -> bool:
        return bool(self._numbers.use(lambda fast: fast.fits(name, value)))

    def _send(self, numbers: list[Number]) -> bool:
        try:
            return self._numbers.send(numbers)
        except HalfStoredError:
            if not all_have_steps(numbers):
                raise
            return False

    def _track(self, name: str, value: Any, step: int | None, moment: float, kwargs: Mapping[str, Any]) -> str:
        """Track one value, and return why Aim refuses it, such as a text under a name that holds numbers."""
        value = self.import_sdk().Text(value) if isinstance(value, str) else value
        try:
            if kwargs.keys() - _KNOWN or not self._numbers.use(
                lambda fast: fast.track(value, name, step, moment, **kwargs)
            ):
                self.tracker.track(value, name=name, step=step, **kwargs)
        except (ValueError, OverflowError) as error:
            return str(error) or type(error).__name__
        return ""

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Store a checkpoint's files as artifacts, and its step and values in `run["checkpoints"]`."""
        if reason := without_artifacts(self.tracker):
            self.drop("checkpoint", path, reason)
            return
        store_checkpoint(self.tracker, name, path, self._artifacts)
        self._describe({name: encodable({"step": step, **storable(values)})})

    @on_main_process
    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Change what `run["checkpoints"]` says of it."""
        if name in self.tracker.get("checkpoints", {}):
            self._describe({name: encodable({"step": step, **storable(values)})})

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Delete the artifacts of a checkpoint, unless they are on S3."""
        if delete_checkpoint(self.tracker, name, self._artifacts):
            self._describe({name: None})

    def _describe(self, news: Mapping[str, Any]) -> None:
        known = {**self.tracker.get("checkpoints", {}), **news}
        self.tracker["checkpoints"] = {name: about for name, about in known.items() if about is not None}

    @on_main_process
    def log_images(
        self,
        values: dict[str, Any],
        step: int | None = None,
        kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> None:
        """Track images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or to a
                tuple of that and a caption.
            step: Training step.
            kwargs: `{"aim_image": …}` for `aim.Image` (e.g. `format`, `quality`), `{"track": …}` for `Run.track`.
            **more: Also for `Run.track` (`context`, `epoch`).
        """
        aim = self.import_sdk()
        given = kwargs or {}
        captions = {key: value[1] for key, value in values.items() if has_caption(value)}
        uncaptioned = {key: value[0] if key in captions else value for key, value in values.items()}
        for key, found in self.images_of(uncaptioned):
            options = {"caption": captions.get(key, ""), **given.get("aim_image", {})}
            # Always a list: Aim refuses a list under a name that holds single images, and the other way round.
            if sequence := [aim.Image(one, **options) for one in found]:
                reason = self._track(key or EMPTY, sequence, step, self.now(), {**given.get("track", {}), **more})
                if reason:
                    self.drop(key, sequence, reason)

    @on_main_process
    def flush(self) -> None:
        """Wait until a server has taken everything; what is on a disk is there already."""
        if not self._remote.use(QueuePath.wait) and self.native is not None and self.native.repo.is_remote_repo:
            self.durable_flush = False

    def identity(self) -> dict[str, Any]:
        """Return the run's hash, and the server that it is on if that was given in place of a folder."""
        place = {"repo": str(self.logging_dir)} if is_address(self.logging_dir) else {}
        return {} if self.native is None else {"run_hash": self.native.hash, **place}

    @on_main_process
    def finish(self) -> None:
        """Say how the run ended, close it, and release its files."""
        if self.native is not None:
            self.flush()
            run, self.native = self.native, None
            self._numbers.close()  # it holds the run's files open
            self._artifacts.close()
            self._remote.close()
            try:
                _report(run, self.outcome)
            finally:
                run.close()


def _opening(repo: Any) -> AbstractContextManager[None]:
    """Return the lock under which a repository on a disk is opened."""
    if isinstance(repo, (str, os.PathLike)) and "://" not in (place := str(os.fspath(repo))):
        return alone_at(Path(place).absolute() / ".aim")
    return nullcontext()


def _report(run: Any, outcome: Outcome) -> None:
    message = f"{outcome.status}: {outcome.reason}" if outcome.reason else outcome.status
    if outcome.status == "finished":
        run.report_successful_finish()
    elif outcome.status == "failed":
        run.log_error(message)
    else:
        run.log_warning(message)
