"""The front door for Hugging Face accelerate: an accel_track run as one of accelerate's trackers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelerate.tracking import GeneralTracker as TheirTracker

from accel_track.begin import init
from accel_track.errors import NotStartedError
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.noop import NoOp
from accel_track.options import Options, Settings, takes_options
from accel_track.registry import LogWith, select
from accel_track.run import Run
from accel_track.state import process_index
from accel_track.trackers.base import on_main_process

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PROJECT = "accel_track"
"""Name of a run's tracker that stands for several, and of a project that nobody has named."""

_MOST_FRAMES = 5


@takes_options
def as_accelerate_tracker(
    log_with: LogWith,
    project_dir: str | os.PathLike[str] | None = None,
    *,
    project: str | None = None,
    run_name: str | None = None,
    init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Unpack[Options],
) -> AccelTrackAsAccelerate:
    """Return a tracker for `accelerate.Accelerator(log_with=[…])` with an accel_track run behind it.

    accelerate's `init_trackers` begins the run with its `project_name`, `config` and `init_kwargs`, `log` logs to the
    journal, and `end_training` ends the run. The tracker has the name of the one tracker in `log_with`, such as
    "mlflow", so that `get_tracker("mlflow")` finds it; with several trackers, its name is "accel_track".

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend.
        project_dir: Folder for the journal and for trackers that store locally. Default: the working directory.
        project: Name of the project. Default: the `project_name` of `init_trackers`.
        run_name: Name of the run in every backend. With `resume`, an unfinished run of this name is continued.
        init_kwargs: Constructor arguments by tracker name; those of `init_trackers` win over them.
        **options: The options of all front doors, such as `delivery`; see [`Options`][accel_track.options.Options].

    Returns:
        The tracker, a subclass of accelerate's `GeneralTracker`.

    Raises:
        ValueError: A tracker is unknown, `log_with` has no tracker, or `all_ranks` is set, although accelerate logs on
            its main process only.
        TypeError: An entry of `log_with` has the wrong type.
        MissingPackageError: The package of a named backend, or accelerate, is not installed.
    """
    settings = Settings.of(**options)
    if settings.all_ranks:
        message = "as_accelerate_tracker: accelerate logs on its main process only; leave out `all_ranks`."
        raise ValueError(message)
    directory = os.curdir if project_dir is None else project_dir
    names = [one.name for one in select(log_with, directory, missing=settings.missing)]
    if not names:
        message = "`log_with` names no tracker; give one, such as 'tensorboard'."
        raise ValueError(message)
    arguments = {"log_with": log_with, "project_dir": directory, "run_name": run_name, **options}
    return AccelTrackAsAccelerate(names, project, init_kwargs or {}, arguments)


class AccelTrackAsAccelerate(TheirTracker, MediaCalls):  # type: ignore[misc]  # accelerate has no types
    """A tracker of accelerate's with an accel_track run behind it, made by `as_accelerate_tracker`.

    Calls for media and artifacts go to the run. Any other attribute is looked up in the run's first tracker, such as
    TensorBoard's `writer`.

    Args:
        names: Names of the trackers.
        project: Name of the project, or None for that of `init_trackers`.
        init_kwargs: Constructor arguments by tracker name.
        arguments: The other arguments of `accel_track.init`.
    """

    name = _PROJECT
    requires_logging_directory = False
    main_process_only = True

    def __init__(
        self,
        names: list[str],
        project: str | None,
        init_kwargs: Mapping[str, Mapping[str, Any]],
        arguments: Mapping[str, Any],
    ) -> None:
        """Start nothing yet."""
        super().__init__()
        self.name = names[0] if len(names) == 1 else _PROJECT
        self.run: Run | None = None
        self._names, self._project, self._init_kwargs, self._arguments = names, project, init_kwargs, arguments

    @on_main_process
    def start(self) -> None:
        """Begin the run, with the arguments of the call of `init_trackers`.

        Raises:
            Exception: The errors of `accel_track.init`.
        """
        if self.run is not None:
            self.run.finish()
        project, its, trackers = _said_to_init_trackers()
        _keep_once(self, trackers)
        given = {name: {**self._init_kwargs.get(name, {}), **its.get(name, {})} for name in self._names}
        kwargs = {**self._init_kwargs, **{name: one for name, one in given.items() if one}}
        self.run = init(self._project or project, init_kwargs=kwargs, **self._arguments)

    def _started(self) -> Run:
        if self.run is None:
            message = f"{self.name}: not started, or ended already; call `init_trackers` before using it."
            raise NotStartedError(message)
        return self.run

    @property
    def tracker(self) -> Any:
        """The native object of the first tracker, after the delivery of earlier values."""
        return NoOp() if process_index() else self._started().get_tracker(self._names[0], unwrap=True)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the first tracker.

        Raises:
            AttributeError: The tracker has no such attribute, or the run has not begun.
        """
        if name.startswith("_") or (run := self.__dict__.get("run")) is None:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(run.get_tracker(self._names[0]), name)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters."""
        self._started().store_configuration(values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log values. With a journal, the values are on disk when this call returns.

        Args:
            values: Values by name, possibly nested.
            step: Training step, 0 or more, or None.
            **kwargs: Arguments for the tracker's own `log`; with several trackers, by tracker name.
        """
        by_name = {self.name: kwargs} if kwargs and len(self._names) == 1 else kwargs
        self._started().log(values, step, by_name or None)

    @on_main_process
    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        self.log(values, step, **kwargs)

    def log_figure(self, name: Any, figure: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log a figure. accelerate's MLflow tracker takes the figure before the name, and so does this call.

        Args:
            name: Name of the figure.
            figure: The figure.
            step: Training step, 0 or more, or None.
            **kwargs: Arguments of the SDK's own call.
        """
        name, figure = (name, figure) if isinstance(name, str) else (figure, name)
        super().log_figure(name, figure, step, **kwargs)

    @on_main_process
    def _log_artifact(self, path: str | os.PathLike[str], name: str | None, about: dict[str, Any]) -> None:
        self._started().log_artifact(path, name, **about)

    @on_main_process
    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Raise an alert, as [`Run.alert`][accel_track.run.Run.alert] does."""
        self._started().alert(title, text, level)

    @on_main_process
    def finish(self) -> None:
        """End the run, with the outcome of the exception that is being handled, if there is one."""
        if self.run is not None:
            run, self.run = self.run, None
            run.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run, which lives in this process."""
        return {**self.__dict__, "run": None}


def _keep_once(tracker: AccelTrackAsAccelerate, trackers: list[Any]) -> None:
    """Take a tracker out of accelerate's list where it stands again: accelerate adds an instance in each call."""
    again = [place for place, one in enumerate(trackers) if one is tracker][1:]
    for place in reversed(again):
        del trackers[place]


def _said_to_init_trackers() -> tuple[str, Mapping[str, Mapping[str, Any]], list[Any]]:
    """Return what the call of `Accelerator.init_trackers` that is under way knows.

    accelerate gives its arguments to the trackers that it constructs, and to no instance.

    Returns:
        The project's name, the `init_kwargs`, and the accelerator's list of trackers. Outside of such a call, the name
        is "accel_track", and the others are empty.
    """
    frame, left = sys._getframe(1), _MOST_FRAMES  # noqa: SLF001 - there is no other way to a caller's arguments
    while frame.f_back is not None and left:
        frame, left = frame.f_back, left - 1
        if frame.f_code.co_name == "init_trackers":
            said = frame.f_locals
            project, its = said.get("project_name"), said.get("init_kwargs")
            trackers = getattr(said.get("self"), "trackers", None)
            return (
                project if isinstance(project, str) else _PROJECT,
                its if isinstance(its, Mapping) else {},
                trackers if isinstance(trackers, list) else [],
            )
    return _PROJECT, {}, []
