"""The base of the trackers around an SDK: the life of the native object, and calls of `log` as rows that it takes."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import urlsplit

from accel_track.errors import EndedError, MissingPackageError, NotConfiguredError, NotStartedError
from accel_track.media import Medium
from accel_track.noop import NoOp
from accel_track.records import Metrics
from accel_track.state import process_index
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.installing import install_command
from accel_track.trackers.media import StoresMedia
from accel_track.trackers.rows import Row
from accel_track.values.plain import check_step, is_number

FastT = TypeVar("FastT", bound=FastPath)

native_object = property(lambda self: self.tracker, doc="The SDK's own object: another name of `tracker`.")
"""For a backend's class: the name that scripts for Hugging Face Accelerate know its `tracker` by, such as `writer`."""

_GATED = (
    "start",
    "store_init_configuration",
    "store_environment",
    "log",
    "log_batch",
    "log_images",
    "log_table",
    "log_figure",
    "log_artifact",
    "log_artifacts",
    "log_model",
    "alert",
    "log_checkpoint",
    "describe_checkpoint",
    "delete_checkpoint",
    "log_graph",
    "rewind",
    "flush",
    "rest",
    "finish",
)
"""Methods that run on the main process only."""


class SDKTracker(StoresMedia):
    """The base class of a tracker around an SDK's native object, `native`, which exists between `start` and `finish`.

    A subclass fills in `open`, `close`, and either `write`, which stores many calls of `log`, or `write_row`, which
    stores one. The public methods that it overrides run on the main process only, if `main_process_only` is true.

    Args:
        run_name: Name of the project or run in the backend.
        **kwargs: Arguments of the SDK.
    """

    sdk: ClassVar[str]  # pyright: ignore[reportIncompatibleVariableOverride] - never None here
    install: ClassVar[str]  # pyright: ignore[reportIncompatibleVariableOverride] - as `sdk`
    thread_bound = False
    native: Any = None
    _file: Path | None = None
    """The file that `check_file` has seen."""

    why_finite: ClassVar[str] = "the backend takes no {}"
    """The reason in the warning about a dropped number that is not finite; `{}` stands for the number."""

    log_call: ClassVar[str] = ""
    """Name of the native object's method that gets `step` and the further arguments of `log`."""

    finish_again: ClassVar[bool] = False
    """Whether `finish` may be repeated after an error of `flush` or `store_outcome` that may pass by itself."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Decorate the public methods of a subclass with `on_main_process`."""
        super().__init_subclass__(**kwargs)
        for name in _GATED:
            if name in vars(cls):
                setattr(cls, name, on_main_process(vars(cls)[name]))

    def __init__(self, run_name: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs: dict[str, Any] = kwargs
        self._gates: dict[type[FastPath], Gate[Any]] = {path: Gate(self.name, path) for path in self.fast_paths}

    def open(self, sdk: Any) -> Any:
        """Open the run and return the native object; called by `start`.

        Args:
            sdk: The SDK's module.
        """
        raise NotImplementedError

    def begin(self, native: Any) -> None:
        """Prepare the open run, through fast paths for example; called by `start`, which closes the run on an error.

        Args:
            native: The native object that `open` has returned.
        """

    def store_outcome(self) -> None:
        """Store how the run ended, `self.outcome`, in the backend; called by `finish`, before `close`."""

    def close(self, native: Any) -> None:
        """Close the run; called by `finish`, once.

        Args:
            native: The native object.
        """

    def write(self, rows: Sequence[Row]) -> None:
        """Store calls of `log`: all of them or, if it raises, none. The default stores them one by one by `write_row`.

        Args:
            rows: The calls in their order.
        """
        for row in self.each(rows):
            self.write_row(row)

    def write_row(self, row: Row) -> None:
        """Store one call of `log`.

        If this raises, the call comes again: put a part that must not be stored twice into `taken.part`.

        Args:
            row: The call.
        """
        raise NotImplementedError

    def each(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Yield rows to be stored one by one; a row counts as stored when the next one is asked for.

        Args:
            rows: The calls in their order.
        """
        for row in rows:
            with self.taken.within(row.record):
                yield row
            self.stored(row)

    def stored(self, *rows: Row) -> None:
        """Note that the backend has some rows, so that a repetition of their batch leaves them out.

        Args:
            *rows: The stored rows.
        """
        for row in rows:
            self.taken.add(row.record)
            row.settle(self)

    def refusal(self, value: Any) -> str | None:
        """Return why the backend does not take a value, "" for its type; None if it takes the value.

        Args:
            value: A value of a call of `log`, no medium.
        """
        if is_number(value):
            refused = (value != value and not self.takes_nan) or (not self.takes_inf and math.isinf(value))  # noqa: PLR0124
            return self.why_finite.format(value) if refused else None
        if isinstance(value, str):
            return None if self.takes_text else ""
        if isinstance(value, list) and any(isinstance(one, Medium) for one in value):
            return "media of several kinds, or beside other values, are no list"
        return None if self.takes_object(value) else ""

    def takes_object(self, value: Any) -> bool:
        """Return whether the backend takes a value that is neither number nor text, such as the SDK's own image.

        Args:
            value: The value.
        """
        return False

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Check the further arguments of `log`, before any call of a batch is stored.

        The default binds them to the signature of the method that `log_call` names; without that name, the SDK's own
        call checks them.

        Args:
            step: Training step, or None.
            kwargs: The further arguments.

        Raises:
            TypeError: The SDK takes no such argument.
        """
        if self.log_call:
            inspect.signature(getattr(self.native, self.log_call)).bind_partial(step=step, **kwargs)

    def fast(self, path: type[FastT]) -> Gate[FastT]:
        """Return the gate of one of `fast_paths`.

        Args:
            path: The class of the fast path.
        """
        return cast("Gate[FastT]", self._gates[path])

    @on_main_process
    def start(self) -> None:
        """Open the run.

        Raises:
            MissingPackageError: The SDK is not installed.
            NotConfiguredError: There are neither credentials nor an offline setting.
        """
        if self.started:
            return
        sdk = self.import_sdk()
        self.check_configured()
        for path, gate in self._gates.items():
            if path.of_module:
                gate.open(sdk)
        self.native = self.open(sdk)
        try:
            for path, gate in self._gates.items():
                if not (path.of_module or gate.tried):  # by `open`, which may have another object for it
                    gate.open(self.native)
            self.begin(self.native)
        except BaseException:
            self._end()
            raise

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record values; those that the backend does not take are counted as dropped.

        Args:
            values: Values by name.
            step: Training step, 0 or more, or None.
            **kwargs: Arguments of the SDK's own call.

        Raises:
            TypeError: `step` is not an integer, or the SDK takes no such argument.
            ValueError: `step` is negative.
        """
        more = {self.name: kwargs} if kwargs else {}
        self._record([Metrics(-1, self.now(), values, check_step(step), more)])

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Record several calls of `log`, each with the time of the call if the backend takes a time.

        Args:
            records: The calls in their order.
        """
        self._record(records)

    def _record(self, records: Sequence[Metrics]) -> None:
        # The program may call `log` itself while the worker delivers: they share `taken`, and the SDK's current step.
        # A forked process has a lock of its own, since nobody there gives back what the worker held.
        with self.__dict__.setdefault("_turns", {}).setdefault(os.getpid(), threading.RLock()):
            self._record_in_turn(records)

    def _record_in_turn(self, records: Sequence[Metrics]) -> None:
        if not self.started:
            _ = self.tracker  # says that it was not started
        rows = [Row(self, record) for record in self.taken.left(records)]
        for row in rows:
            if row.kwargs:
                self.check_arguments(row.step, row.kwargs)
        for with_media, group in groupby(rows, lambda row: bool(row.media)):
            if with_media:
                for row in group:
                    self._write_with_media(row)
            else:
                self.write([row for row in group if row.values])
        for row in rows:
            row.settle(self)
        self.taken.settle(records)

    def _write_with_media(self, row: Row) -> None:
        """Store a call with media: first the media with a call of their own, then those among the row's values."""
        apart = list(self.sort_media(row))
        with self.taken.within(row.record):
            self.store_media(row, apart)
            if row.values:
                self.write([row])
        self.stored(row)

    @on_main_process
    def finish(self) -> None:
        """Flush the tracker and close the run. `outcome` tells how the run ended."""
        if self.native is None:
            return
        try:
            self.flush()
            self.store_outcome()
        except Exception as error:
            if not (self.finish_again and (self.is_transient(error) or self.concerns_run(error))):
                with suppress(EndedError):  # of a run whose files are gone, which `error` says
                    self._end()
            raise
        self._end()

    def _end(self) -> None:
        native, self.native = self.native, None
        try:
            if native is not None:  # the flush before may have waited for a thread that has closed the run
                self.close(native)
        finally:
            for gate in self._gates.values():
                gate.close()
            self.forget_media()
            self.__dict__.pop("_turns", None)  # a lock cannot be copied

    @property
    def started(self) -> bool:
        """Whether the native object exists."""
        return self.native is not None

    @property
    def tracker(self) -> Any:
        """The SDK's own object; on a rank without this tracker, an object on which every call does nothing.

        Raises:
            NotStartedError: The tracker has not started, or has finished.
        """
        if self.native is not None:
            return self.native
        if self.main_process_only and process_index() != 0:
            return NoOp()
        message = f"{self.name}: not started, or finished already; call `init_trackers` (or `start`) before using it."
        raise NotStartedError(message)

    def check_place(self, place: str | os.PathLike[str]) -> None:
        """Check that the run's file is still there; for `flush`, since SDKs write on to files that are deleted.

        Args:
            place: A file, or a folder that nothing makes again.

        Raises:
            EndedError: Somebody has deleted or moved it.
        """
        gone = False
        try:
            os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            gone = True
        except OSError:  # of a disk that does not answer
            pass
        if gone:
            message = f"{self.name}: somebody has deleted or moved the run's files: {os.fspath(place)} is gone."
            raise EndedError(message)

    def check_configured(self) -> None:
        """Check the credentials, before the SDK can ask for them on the terminal.

        Raises:
            NotConfiguredError: There are neither credentials nor an offline setting; the message says what to set.
        """
        if (missing := self.not_configured(self.init_kwargs)) is not None:
            message = f"{self.name}: {missing}"
            raise NotConfiguredError(message)

    def check_file(self, folder: str | os.PathLike[str], pattern: str, *, over: bool = False) -> None:
        """Check that the file of a run in a folder is still there, as soon as it was seen; SDKs make it in a thread.

        Args:
            folder: The folder, which an SDK makes again for media.
            pattern: What the file's name fits.
            over: Whether the run is over, so that the file must be there.

        Raises:
            EndedError: Somebody has deleted or moved it.
        """
        if self._file is None or self._file.parent != Path(folder):
            self._file = next(Path(folder).glob(pattern), None)
        if self._file is not None:
            self.check_place(self._file)
        else:
            self.check_place(Path(folder, pattern) if over else folder)

    def import_sdk(self) -> Any:
        """Import the SDK and return its module.

        Raises:
            MissingPackageError: The SDK is not installed; the message has the command that installs it.
        """
        try:
            return importlib.import_module(self.sdk)
        except ModuleNotFoundError as error:
            message = f"{self.name}: the package {error.name!r} is missing; {install_command(self.install)}"
            raise MissingPackageError(message) from error


def setting(init_kwargs: Mapping[str, Any], argument: str, variable: str) -> str:
    """Return an SDK's setting from the keyword arguments, else the environment, as lower-case text; "" if unset."""
    value = init_kwargs.get(argument)
    return str(os.environ.get(variable, "") if value is None else value).strip().lower()


def unreachable(url: str) -> bool:
    """Return whether nobody listens at the host and port of a URL, after 5 seconds at most.

    SDKs that raise the same error for a rejected key and for a server that is down need this.
    """
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)), 5).close()
    except OSError:
        return True
    return False
