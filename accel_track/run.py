"""One training run: the only way from a front door's call to its trackers."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.delivery.inline import InlineDelivery
from accel_track.delivery.journaled import JournaledDelivery
from accel_track.delivery.settings import Settings
from accel_track.errors import NotStartedError, UnwritableDirectoryError
from accel_track.noop import NoOp
from accel_track.redaction import redacted
from accel_track.registry import Selected, build, check_init_kwargs
from accel_track.trackers.base import GeneralTracker, NoOpTracker
from accel_track.values import check_config, check_log_kwargs, check_name, check_step, check_values

_log = logging.getLogger(__name__)
_NOTHING: dict[str, dict[str, Any]] = {}


class Run:
    """A started set of trackers and, unless delivery is inline, the journal from which they are fed.

    Args:
        selected: What `registry.select` returned.
        project: Name of the project; must be usable as a folder name.
        name: Name of the run in its project, or None to let each backend choose.
        directory: The logging directory, or None if no tracker needs one. Created when missing.
        init_kwargs: Constructor arguments by tracker name.
        config: Hyperparameters, or None.
        argument: What the caller calls its directory, for error messages.
        settings: How to deliver.

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
        settings: Settings | None = None,
    ) -> None:
        """Check everything, construct the trackers, then begin the journal, store `config` and start the trackers."""
        self.settings = settings or Settings.of()
        self.project = check_name(project, "project_name")
        self.name = None if name is None else check_name(name, "run name")
        self.config = None if config is None else self._redacted(check_config(config))
        self.directory = directory
        self.finished = False
        later = self.settings.delivery == "none"
        kwargs = check_init_kwargs(init_kwargs, selected)
        built = [] if later else build(selected, project, name, directory, kwargs)
        if directory is not None and selected:
            _check_writable(directory, argument)
        self._delivery: InlineDelivery | JournaledDelivery
        if self.settings.delivery == "inline":
            self._delivery = InlineDelivery(self.settings)
        else:
            self._delivery = JournaledDelivery(self.settings, directory, project, name)
            if self.config is not None:
                self._delivery.configure(self.config)
        try:
            self._add(built, selected, kwargs)
        except BaseException:
            self._finish_quietly()
            raise
        # Registered after the SDKs', hence run before theirs: a run nobody finished is finished at exit.
        atexit.register(self._finish_quietly)

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The trackers of this process."""
        return self._delivery.trackers

    def add(self, selected: Sequence[Selected], init_kwargs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Let more trackers take part; with a journal they get everything since the run's beginning.

        Raises:
            Exception: As the constructor.
        """
        kwargs = check_init_kwargs(init_kwargs, selected)
        later = self.settings.delivery == "none"
        self._add([] if later else build(selected, self.project, self.name, self.directory, kwargs), selected, kwargs)

    def _add(
        self,
        trackers: Sequence[GeneralTracker],
        selected: Sequence[Selected],
        kwargs: Mapping[str, Mapping[str, Any]],
    ) -> None:
        if isinstance(self._delivery, InlineDelivery):
            self._delivery.add(trackers, self.config)
            return
        instances = [one.name for one in selected if one.instance is not None]
        if self.settings.delivery == "none":
            for one in selected:
                self._delivery.describe(one.name, kwargs.get(one.name, {}), instance=one.name in instances)
        self._delivery.add(trackers, kwargs, instances)

    def store_configuration(self, config: Any) -> None:
        """Give hyperparameters to every tracker; entries that are stored already are not sent again.

        Raises:
            TypeError: `config` is not a dictionary, dataclass, namespace or OmegaConf node with string keys.
        """
        known = self.config or {}
        news = {
            key: value
            for key, value in self._redacted(check_config(config)).items()
            if key not in known or not _same(known[key], value)
        }
        if news or self.config is None:
            self.config = {**known, **news}
            self._delivery.configure(news)

    def _redacted(self, config: dict[str, Any]) -> dict[str, Any]:
        return redacted(config) if self.settings.redact else config

    def log(self, values: Any, step: Any = None, kwargs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Log values. With a journal, they are in it on return.

        Args:
            values: A dictionary of names to values, possibly nested. It is not changed.
            step: An integer of 0 or more, or None.
            kwargs: More keyword arguments for `log`, by tracker name.

        Raises:
            TypeError: `values` is not a dictionary with string keys, `step` no integer, or `kwargs` of another form.
            ValueError: `step` is negative.
            Exception: A tracker's error, with `on_error="raise"`.
        """
        if kwargs:
            check_log_kwargs(kwargs)
        self._delivery.log(check_values(values), check_step(step), kwargs or _NOTHING)

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of that name, or with `unwrap` its SDK's own object, after it had what was logged before.

        Raises:
            ValueError: No tracker of this run has that name.
            NotStartedError: With `unwrap`, where the backend could not be reached yet.
        """
        self._delivery.settle(name)
        for tracker in self.trackers:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker
        names = ", ".join(tracker.name for tracker in self.trackers) or "none"
        why = " With delivery='none' trackers run in `accel-track sync` only." * (self.settings.delivery == "none")
        message = f"no tracker {name!r} in this run; there are: {names}.{why}"
        raise ValueError(message)

    def native(self, tracker: GeneralTracker) -> Any:
        """Return a tracker's own object, or None where its backend could not be reached yet."""
        self._delivery.settle(tracker.name)
        try:
            return tracker.tracker
        except NotStartedError:
            return None

    def flush(self) -> None:
        """Have every tracker store what was logged, waiting a few seconds at most where there is a journal."""
        self._delivery.flush()

    def finish(self) -> None:
        """End the run: finish each tracker that no other front door still uses. Further calls do nothing."""
        if not self.finished:
            self.finished = True
            atexit.unregister(self._finish_quietly)
            self._delivery.finish()

    def _finish_quietly(self) -> None:
        try:
            self.finish()
        except Exception:  # noqa: BLE001 - nobody is left to raise to
            _log.exception("accel_track: a tracker could not be finished")


def no_tracker(unwrap: bool) -> NoOp:
    """Return what `get_tracker` gives off the main process: an object on which everything does nothing."""
    return NoOp() if unwrap else NoOpTracker(_blank=True)


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
