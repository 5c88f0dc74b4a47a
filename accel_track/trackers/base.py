"""The tracker: the contract that built-in, custom and third-party trackers share."""

from __future__ import annotations

import importlib.util
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from accel_track.errors import NotReadableError, warn
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.media.kinds import Text
from accel_track.media.ways import ALL, Way
from accel_track.noop import NoOp
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import ALERT, Alert, Metrics
from accel_track.state import process_index
from accel_track.trackers.errors import concerns_run, is_transient
from accel_track.trackers.fast import FastPath
from accel_track.trackers.taken import Taken
from accel_track.trackers.watching import OwnWatches
from accel_track.values.capture import captured
from accel_track.values.passing import PassingMedia

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_LATE = 60.0
_REQUIRED = ("name", "requires_logging_directory", "tracker")


def on_main_process(function: MethodT) -> MethodT:
    """Decorate a tracker's method so that only rank zero runs it, if the tracker's `main_process_only` is true.

    The rank is read at each call, so that neither the decoration nor the constructor touches any state of the process.
    Another rank's call returns None.

    Args:
        function: The method.
    """

    @wraps(function)
    def gated(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "main_process_only", False) and process_index() != 0:
            return None
        return function(self, *args, **kwargs)

    return cast("MethodT", gated)


class GeneralTracker(MediaCalls):
    """The base class of a tracker, which delivers a run to one backend.

    A subclass defines

    * the class attribute `name`, unique among trackers, such as `"wandb"`;
    * the class attribute `requires_logging_directory`: whether the tracker stores files in the logging directory;
    * the property `tracker`, the SDK's own object;
    * the methods that its backend needs, of `start`, `store_init_configuration`, `log`, `flush` and `finish`.

    The other class attributes declare what the backend can do; their defaults fit a simple tracker. Pass an instance to
    `log_with` of any front door, or register the class under its name with
    [`register_tracker_class`][accel_track.register_tracker_class].

    Args:
        _blank: Whether to skip the check for required attributes, for an instance that does nothing.

    Raises:
        NotImplementedError: Required attributes are missing; the message names all of them.
    """

    name: str
    requires_logging_directory: bool
    main_process_only: bool = True
    """Whether methods decorated with `on_main_process` run on rank zero only."""

    sdk: ClassVar[str | None] = None
    """Name of the third-party module that `start` imports; None if there is none."""

    install: ClassVar[str | None] = None
    """Requirement that `pip install` needs to install that module."""

    takes_address: ClassVar[bool] = False
    """Whether `for_run` takes a server's address, such as `aim://host:53800`, in place of a folder."""

    in_all: ClassVar[bool] = True
    """Whether `log_with="all"` includes this tracker."""

    batch_size: ClassVar[int] = 1
    """The largest number of calls of `log` that `log_batch` gets at once."""

    durable_flush: bool = True
    """Whether values that were logged before `flush` survive the end of the process. If not, records count as delivered
    only after `finish`, and all of them are delivered again if the process ends earlier."""

    fast_paths: ClassVar[tuple[type[FastPath], ...]] = ()
    """The tracker's ways through private parts of its SDK; see [`FastPath`][accel_track.trackers.fast.FastPath]."""

    keeps_status: ClassVar[bool] = False
    """Whether the backend stores how a run ended, so that `finish` is worth calling for the outcome alone."""

    takes_text: ClassVar[bool] = True
    """Whether the backend stores texts among the values of `log`; if not, each text is counted as dropped."""

    media: ClassVar[Mapping[str, Way]] = ALL
    """The [way][accel_track.media.ways.Way] of each kind of medium by the kind's name, such as "image", and of an
    "artifact" and a "model". With the default, media are among the values of `log`, as the user logged them."""

    takes_nan: ClassVar[bool] = True
    """Whether the backend stores NaN, as a number or as a text; if not, each NaN is counted as dropped."""

    takes_inf: ClassVar[bool] = True
    """Whether the backend stores ±inf, as numbers or as texts; if not, each is counted as dropped."""

    keeps_time: ClassVar[bool] = False
    """Whether values that are delivered late are stored with the time of their call."""

    keeps_alerts: ClassVar[bool] = False
    """Whether the backend has alerts of its own, which `alert` raises; if not, `alert` logs a text."""

    keeps_nesting: ClassVar[bool] = False
    """Whether nested hyperparameters stay nested; if not, their names are joined with "/"."""

    precision: ClassVar[float] = 0.0
    """Relative error of a stored number: 0, or 1e-6 if the backend stores 32-bit floats."""

    keeps_of_a_step: ClassVar[Literal["all", "first", "last"]] = "all"
    """Which of several values the backend keeps that one name has with one step."""

    keeps_equal: ClassVar[bool] = True
    """Whether the backend keeps equal values of one name, step and millisecond each, rather than once."""

    continues: ClassVar[bool] = True
    """Whether another tracker, constructed with this tracker's `identity`, continues its backend run."""

    checks_arguments: ClassVar[bool] = False
    """Whether `log` raises a TypeError for a keyword argument that the SDK does not know."""

    thread_bound: ClassVar[bool] = True
    """Whether the SDK's object must stay in the thread that started it, which then lives until `finish`. If not, the
    thread ends while the run is idle, and later calls come from another thread."""

    of_one_run: ClassVar[frozenset[str]] = frozenset(("id", "name", "run_id", "run_name", "resume"))
    """The constructor arguments that name one run, which a child does not inherit from its parent."""

    wraps_terminal: ClassVar[bool] = False
    """Whether the SDK captures the terminal's output from `start` to `finish`. Such trackers are finished in reverse
    order, so that each restores the output that it found."""

    needs_terminal: ClassVar[bool] = False
    """Whether the tracker writes to the program's terminal, and therefore stays in the program's process."""

    record_time: float | None = None
    """The time of the call whose values are being delivered, in seconds since 1970-01-01 UTC; None at other times."""

    outcome: Outcome = FINISHED
    """The outcome of the run, known just before `finish`, which may tell the backend."""

    users: int = 0
    """The number of front doors that have started this instance and not finished it yet; the delivery counts them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Restore the default `log_batch` in a subclass that overrides `log` alone."""
        super().__init_subclass__(**kwargs)

        def place(name: str) -> int:
            return next(place for place, one in enumerate(cls.__mro__) if name in vars(one))

        if place("log") < place("log_batch"):
            cls.log_batch = GeneralTracker.log_batch  # type: ignore[method-assign]

    def __init__(self, _blank: bool = False) -> None:
        """Check that the subclass is complete."""
        missing = [] if _blank else [f"`{name}`" for name in _REQUIRED if name not in dir(self)]
        if missing:
            message = (
                f"{type(self).__name__} is missing the required attributes {', '.join(missing)}. "
                "Define them in the class; `tracker` is a property that returns the SDK's own object."
            )
            raise NotImplementedError(message)

    if TYPE_CHECKING:

        @property
        def tracker(self) -> Any:
            """The SDK's own object."""

    @property
    def started(self) -> bool:
        """Whether `start` has been called, and `finish` has not."""
        return self.users > 0

    @property
    def dropped(self) -> Counter[str]:
        """The number of dropped values by name: values that the backend could not take."""
        counter: Counter[str] = self.__dict__.setdefault("_dropped", Counter())
        return counter

    @property
    def taken(self) -> Taken:
        """The records that a backend has of batches that failed half-way, if `log_batch` stores them one by one."""
        taken: Taken | None = self.__dict__.get("_taken")
        if taken is None:
            taken = self.__dict__["_taken"] = Taken()
        return taken

    def forget(self) -> None:
        """Forget the traces of this object's earlier run; called before `start`."""
        self.dropped.clear()
        self.passing.forget()
        self.unwatch()
        self.__dict__.pop("_taken", None)
        self.outcome = FINISHED

    def start(self) -> None:
        """Import the SDK and open the run. Called by a front door, on the main process, before anything is logged."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters.

        Args:
            values: Values by name, possibly nested; scalars are Python numbers. The dictionary is this tracker's own.
        """

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store a description of the program's environment; the default stores it with the hyperparameters.

        A backend with another place for the description, such as tags, overrides this.

        Args:
            values: A dictionary with one entry, "environment" ("environment_2", … in a continued run), which holds JSON
                values by name.
        """
        self.store_init_configuration(values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record values.

        Args:
            values: Values by name, nested as the user logged them; scalars are Python numbers. The dictionary is this
                tracker's own.
            step: Training step, 0 or more; None for a call without a step.
            **kwargs: The user's arguments for this tracker, `log_kwargs[name]`.
        """

    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Record several calls of `log`; every delivery goes through this method.

        The default hands the records to `log` one by one; a subclass that overrides `log` alone has this default,
        whatever its base class does. A backend that stores many calls at once overrides this method and `batch_size`,
        and stores all records or, if it raises, none. After an exception, the same records come again, together or in
        halves; the default then leaves out the records that `log` has had.

        Args:
            records: Calls in their order, each with `values`, `step`, `time` and `kwargs` by tracker name. The
                sequence may decode a record only when it is looked at.
        """
        for record in self.taken.each(records):
            self.record_time = record.time
            try:
                with self.taken.within(record):
                    self.log(record.values, step=record.step, **record.kwargs.get(self.name, {}))
            finally:
                self.record_time = None

    @property
    def passing(self) -> PassingMedia:
        """The folder for the media of this tracker's own calls, and for files that are made from media."""
        passing: PassingMedia = self.__dict__.setdefault("_passing", PassingMedia())
        return passing

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        """Log media at once; called by `log_images` and the others."""
        call = captured(values, copies=False, waits_for_gpu=True)
        self.passing.keep(call)
        if call.values:
            self.log(call.values, step=step, **kwargs)
        for name, why in call.unread.items():
            self.drop(name, None, why)

    def alert(self, title: str, text: str = "", level: AlertLevel = "info") -> None:
        """Store an alert; the default logs it as a text called "alert".

        A backend with alerts of its own overrides this and sets `keeps_alerts`. A run's alerts come in the order of its
        records, each with the time of its call in `record_time`.

        Args:
            title: The event in one line.
            text: Details in Markdown, or "".
            level: "info", "warning" or "error".
        """
        said = Alert(title, text, level).values[ALERT]
        self._log_media({ALERT: Text(said.info["text"])}, None)

    def said_late(self, text: str) -> str:
        """Return the text of an alert, with the time of its call behind it if that was over a minute ago.

        Args:
            text: The text.
        """
        raised = self.now()
        if time.time() - raised < _LATE:
            return text
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(raised))
        return f"{text}\n\nraised at {when} UTC".strip()

    def watch(
        self,
        model: Any,
        log: Literal["gradients", "parameters", "all"] | None = "gradients",
        every: int = 100,
        *,
        log_freq: int | None = None,
    ) -> None:
        """Log histograms of a module's gradients and parameters with this tracker alone, in the backward pass.

        The step of the histograms is the number of backward passes, since a tracker object knows no other. The `watch`
        of a front door has the training's step, and goes through the journal. The watch ends with the tracker's run, or
        with `unwatch`.

        Args:
            model: The `torch.nn.Module`. The watch does not keep it alive.
            log: "gradients", "parameters", "all", or None for no histograms.
            every: Backward passes from one set of histograms to the next, 1 or more.
            log_freq: Another name of `every`.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` has an unknown value.
        """
        if log is not None and not (self.main_process_only and process_index() != 0):
            watches: OwnWatches = self.__dict__.setdefault("_watches", OwnWatches(self))
            watches.add(model, log, every if log_freq is None else log_freq)

    def unwatch(self, model: Any = None) -> None:
        """End the watch of a module.

        Args:
            model: The module. Default: all watched modules.
        """
        if (watches := self.__dict__.get("_watches")) is not None:
            watches.remove(model)

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Store a file, or a folder with all its files; the default counts the artifact as dropped.

        Args:
            path: The file or folder, which may be deleted once this call has returned.
            name: Name of the artifact. Default: the name of the file or folder.
            type: Kind of the artifact, such as "dataset"; "model" for models.
            metadata: Facts about the artifact, as JSON values by name.
            copy: Without effect on a tracker.
            step: Training step, 0 or more, or None.
        """
        self.drop(name or os.path.basename(path), path, "it keeps no artifacts")

    def rewind(self, step: int) -> None:
        """Withdraw the values that were logged with a step or a later one; the default does nothing.

        A run calls this when it goes on from a checkpoint that is older than its last values, and logs those steps
        again.

        Args:
            step: The next step that will be logged.
        """

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Store a checkpoint, which replaces an earlier one of its name; the default counts it as dropped.

        Args:
            name: Name of the checkpoint, such as "epoch=3-step=400"; the name is usable as a file name.
            path: The file, or the folder of a sharded checkpoint, which may be deleted once this call has returned.
            step: Training step, 0 or more, or None.
            values: Facts about the checkpoint, as JSON values by name, such as `monitor`, `score`, `best`, `last`.
        """
        self.drop("checkpoint", path, "it keeps no checkpoints")

    def log_graph(self, model: Any, inputs: Any) -> None:
        """Store a module's graph, called on the thread that trains; the default does nothing.

        Args:
            model: A `torch.nn.Module`.
            inputs: The input of its `forward`.
        """

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Replace the facts about a stored checkpoint; the default does nothing.

        A backend that cannot replace them should not store `best` and `last`, which do not stay true.

        Args:
            name: Name of the checkpoint.
            step: Training step, 0 or more, or None.
            values: Facts about the checkpoint, as for `log_checkpoint`.
        """

    def delete_checkpoint(self, name: str) -> None:
        """Delete a stored checkpoint that the program itself has deleted; the default keeps it.

        Args:
            name: Name of the checkpoint.
        """

    def now(self) -> float:
        """Return the time to store with values, in seconds since 1970-01-01 UTC: that of their call, maybe long ago."""
        return time.time() if self.record_time is None else self.record_time

    def flush(self) -> None:
        """Wait until the backend has stored all logged values where it keeps them."""

    def rest(self) -> None:
        """Give back files and connections while the run is idle; the next call takes them again.

        `flush` comes before this call. The default does nothing.
        """

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass by itself, so that a repetition of the call helps.

        The default is true for lost connections, timeouts, and a server's answers with the status 408, 429 or 5xx.

        Args:
            error: The error of `start`, `log` or another method.
        """
        return is_transient(error)

    def concerns_run(self, error: BaseException) -> bool:
        """Return whether an error comes from the connection or the run and not from a record, so that delivery waits.

        The default is true for rejected credentials, impossible addresses, and a server's answers with the status 401,
        403, 404 and the like. Delivery decides about other errors: one whose neighbours pass comes from its record.

        Args:
            error: The error of `start`, `log` or another method.
        """
        return concerns_run(error)

    def as_experiment(self) -> Any:
        """Return the object for Lightning's `logger.experiment`: the SDK's own object, or one that behaves like it."""
        return self.tracker

    def identity(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments with which another process continues this backend run.

        A run asks for them between `start` and `finish`, and stores them: JSON values, without secrets. The default is
        an empty dictionary.
        """
        return {}

    def planned_identity(self) -> dict[str, Any]:
        """Choose the `identity` of the run that `start` is about to open; the default is an empty dictionary.

        The identity is stored before `start`, so that a process killed in `start` leaves a backend run that can be
        continued. This is for backends whose clients choose the run's id.
        """
        return {}

    def read(self) -> BackendRun:
        """Return the backend run of this tracker, by the backend's own reader.

        This call neither opens nor changes the run. It works between `start` and `finish`, after `finish`, and before
        `start` of a tracker that was constructed with `identity`.

        Raises:
            NotReadableError: The backend has no such run, the run cannot be read from here, or the tracker has no
                reader, as by default; the message says which.
        """
        message = f"{self.name}: this tracker has no reader; define `read` to compare what its backend has."
        raise NotReadableError(message)

    def stored_name(self, name: str) -> str:
        """Return the backend's name of a metric; the default is the same name.

        Args:
            name: The metric's name, with the names of nested values joined with "/".
        """
        return name

    def page(self) -> str | None:
        """Return the address of the backend run's page, or None; asked between `start` and `finish`."""
        return None

    def look(self) -> str | None:
        """Return the command that shows a backend run without a page of its own; None, the default, if there is none.

        `accel-track show` and the closing report print the command. This call may come before `start` of a tracker that
        was constructed with `identity`, and after `finish`; it must not import the SDK. `folders.command_line` quotes a
        command's arguments.
        """
        return None

    def finish(self) -> None:
        """Close the backend run. `outcome` tells how the run ended."""

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Return constructor arguments that group the backend runs of several ranks; the default is none.

        Args:
            group: Name of the group.
            rank: Rank of this process.
        """
        return {}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Return constructor arguments that make the new run the child of another; the default is none.

        Args:
            identity: The `identity` of the parent's tracker; empty if it is unknown.
            parent: Name of the parent.
        """
        return {}

    @classmethod
    def in_folder(cls, folder: str, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Return constructor arguments that put a run's local files into a folder; the default is none.

        A run needs this if its folder does not have the names of project and run, as in a logger with `name="a/b"`.

        Args:
            folder: The folder, below `directory`.
            directory: The logging directory.
        """
        return {}

    @classmethod
    def installed(cls) -> bool:
        """Return whether the SDK can be imported, without importing it."""
        return cls.sdk is None or importlib.util.find_spec(cls.sdk) is not None

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Return a sentence that says which setting is missing and what to set; None if nothing is missing.

        A front door asks before `start`, which must never prompt on the terminal.

        Args:
            init_kwargs: The constructor's keyword arguments for this tracker.
        """
        return None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Construct the tracker of one run; a front door calls this for trackers given by name.

        The default passes the name of the project, and the logging directory if the class requires one, as the first
        positional arguments. A backend with names of runs overrides this.

        Args:
            project: Name of the project, which a backend may call experiment.
            run_name: Name of the run in its project; None for the name of the backend run that is continued.
            directory: The logging directory, or None.
            init_kwargs: The user's keyword arguments, which win over everything derived here.
        """
        positional: tuple[Any, ...] = (project, directory) if cls.requires_logging_directory else (project,)
        return cls(*positional, **init_kwargs)

    def drop(self, key: str, value: Any, reason: str = "") -> None:
        """Count a value that the backend cannot take as dropped, and warn about the first one of each name.

        Args:
            key: Name of the value.
            value: The value, whose type the warning names.
            reason: The reason for the warning. Default: the backend takes no value of that type.
        """
        self.dropped[key] += 1
        if self.dropped[key] == 1:
            kind = f"integer of {value.bit_length()} bits" if type(value) is int else type(value).__name__
            why = reason or f"the backend takes no {kind}"
            warn(f"{self.name}: dropped {key!r}: {why}. Further ones of this name are counted silently.", stacklevel=3)


class NoOpTracker(NoOp, GeneralTracker):
    """The tracker that `get_tracker` returns off the main process: every method, of any tracker, does nothing."""

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        """Do nothing."""

    def watch(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def unwatch(self, model: Any = None) -> None:
        """Do nothing."""

    def alert(self, title: Any, text: Any = "", level: Any = "info") -> None:
        """Do nothing."""

    def log_artifact(self, path: Any, name: str | None = None, **kwargs: Any) -> None:
        """Do nothing."""

    def log_artifacts(self, folder: Any, name: str | None = None, **kwargs: Any) -> None:
        """Do nothing."""

    def log_model(self, model: Any, name: str = "model", **kwargs: Any) -> None:
        """Do nothing."""
