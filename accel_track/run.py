"""One training run: the only way from a front door's call to its trackers."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accel_track.errors import UnwritableDirectoryError
from accel_track.noop import NoOp
from accel_track.registry import Selected, build
from accel_track.trackers.base import GeneralTracker, NoOpTracker
from accel_track.values import check_config, check_name, check_step, check_values, plain

_log = logging.getLogger(__name__)


class Run:
    """A started set of trackers.

    Every call goes to every tracker, on the calling thread; a tracker that raises does not keep the others from the
    call, and the first error is raised when all have had it. Each tracker gets a copy of the values of its own, in the
    user's structure, with scalars as Python numbers.

    Args:
        selected: What `registry.select` returned.
        project: Name of the project; must be usable as a folder name.
        name: Name of the run in its project, or None to let each backend choose.
        directory: The logging directory, or None if no tracker needs one. Created when missing.
        init_kwargs: Constructor arguments by tracker name.
        config: Hyperparameters, or None.
        argument: What the caller calls its directory, for error messages.

    Raises:
        ValueError: A name cannot be used.
        TypeError: `config` is not a dictionary, or has a key that is not a string.
        UnwritableDirectoryError: `directory` cannot be created or written to.
        NotConfiguredError: A backend named explicitly lacks its credentials.
        Exception: A tracker's own error in `start`; the trackers started before it are finished again.
    """

    def __init__(
        self,
        selected: Sequence[Selected],
        *,
        project: str,
        name: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        config: Any = None,
        argument: str = "project_dir",
    ) -> None:
        """Check everything, construct the trackers, then start them and store `config`."""
        self.project = check_name(project, "project_name")
        self.name = None if name is None else check_name(name, "run name")
        self.config = None if config is None else check_config(config)
        self.directory = directory
        self.trackers: list[GeneralTracker] = []
        self.finished = False
        built = build(selected, project, name, directory, init_kwargs)
        if directory is not None and built:
            _check_writable(directory, argument)
        try:
            self.add(built)
        except BaseException:
            self._finish_quietly()
            raise
        # Registered after the SDKs', hence run before theirs: a run nobody finished is finished at exit.
        atexit.register(self._finish_quietly)

    def add(self, trackers: Sequence[GeneralTracker]) -> None:
        """Start trackers, or join those that somebody started already, and give them the configuration so far."""
        for tracker in trackers:
            if not tracker.started:
                try:
                    tracker.start()
                except Exception as error:
                    _say_who(error, tracker)
                    raise
            tracker.users += 1
            self.trackers.append(tracker)
            if self.config is not None:
                tracker.store_init_configuration(plain(self.config))

    def store_configuration(self, config: Any) -> None:
        """Give hyperparameters to every tracker; entries that are stored already are not sent again.

        Raises:
            TypeError: `config` is not a dictionary, dataclass, namespace or OmegaConf node with string keys.
        """
        known = self.config or {}
        news = {
            key: value
            for key, value in check_config(config).items()
            if key not in known or not _same(known[key], value)
        }
        if news or self.config is None:
            self.config = {**known, **news}
            self._each(lambda tracker: tracker.store_init_configuration(plain(news)))

    def log(self, values: Any, step: Any = None, kwargs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Give values to every tracker.

        Args:
            values: A dictionary of names to values, possibly nested. It is not changed.
            step: An integer of 0 or more, or None.
            kwargs: More keyword arguments for `log`, by tracker name.

        Raises:
            TypeError: `values` is not a dictionary with string keys, or `step` not an integer.
            ValueError: `step` is negative.
            Exception: The first error of a tracker, after all trackers have had the call.
        """
        record = plain(check_values(values))
        number = check_step(step)
        more = kwargs or {}
        self._each(lambda tracker: tracker.log(plain(record), step=number, **more.get(tracker.name, {})))

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of that name, or with `unwrap` its SDK's own object.

        Raises:
            ValueError: No tracker of this run has that name.
        """
        for tracker in self.trackers:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker
        names = ", ".join(tracker.name for tracker in self.trackers) or "none"
        message = f"no tracker {name!r} in this run; there are: {names}."
        raise ValueError(message)

    def flush(self) -> None:
        """Have every tracker store what it was given."""
        self._each(lambda tracker: tracker.flush())

    def finish(self) -> None:
        """End the run: finish each tracker that no other front door still uses. Further calls do nothing."""
        if not self.finished:
            self.finished = True
            atexit.unregister(self._finish_quietly)
            # Last started, first finished: SDKs that capture the terminal each put back what they found there, and in
            # another order Comet's and SwanLab's captures end up calling each other.
            self.trackers.reverse()
            self._each(_release)

    def _finish_quietly(self) -> None:
        try:
            self.finish()
        except Exception:  # noqa: BLE001 - nobody is left to raise to
            _log.exception("accel_track: a tracker could not be finished")

    def _each(self, call: Callable[[GeneralTracker], None]) -> None:
        failure: Exception | None = None
        for tracker in self.trackers:
            try:
                call(tracker)
            except Exception as error:  # noqa: BLE001, PERF203 - the others must get the call; raised or logged
                _say_who(error, tracker)
                if failure is None:
                    failure = error
                else:
                    _log.error("%s: %s", tracker.name, error, exc_info=error)
        if failure is not None:
            raise failure


def no_tracker(unwrap: bool) -> NoOp:
    """Return what `get_tracker` gives off the main process: an object on which everything does nothing."""
    return NoOp() if unwrap else NoOpTracker(_blank=True)


def _say_who(error: Exception, tracker: GeneralTracker) -> None:
    """Add the tracker's name to the error's traceback, where Python can (from 3.11)."""
    if hasattr(error, "add_note"):
        error.add_note(f"(accel_track: raised by the tracker {tracker.name!r})")


def _release(tracker: GeneralTracker) -> None:
    tracker.users -= 1
    if tracker.users == 0:
        tracker.finish()


def _same(one: Any, other: Any) -> bool:
    """Compare hyperparameters; arrays and other objects without a plain answer count as different."""
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - `==` of an arbitrary object may raise anything
        return False


def _check_writable(directory: str | os.PathLike[str], argument: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        message = f"`{argument}`: cannot write to {os.fspath(directory)!r} ({error.strerror}); choose another folder."
        raise UnwritableDirectoryError(error.errno, message) from error
