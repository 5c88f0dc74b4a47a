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
    """Decorate a tracker's method so that, where `main_process_only` is true, only rank zero runs it.

    The rank is read at each call, so decorating or constructing touches no process state. Other ranks get None.
    """

    @wraps(function)
    def gated(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "main_process_only", False) and process_index() != 0:
            return None
        return function(self, *args, **kwargs)

    return cast("MethodT", gated)


class GeneralTracker(MediaCalls):
    """Delivers a run to one tracking backend.

    A subclass defines the class attributes `name` (unique, e.g. `"wandb"`) and `requires_logging_directory`, a property
    `tracker` (the SDK's own object), and whichever of `start`, `store_init_configuration`, `log`, `flush` and `finish`
    its backend needs. Pass an instance to `Accelerator(log_with=...)` or `AccelTrackLogger(log_with=...)`.

    Args:
        _blank: Skip the check for required attributes, for an instance that does nothing.

    Raises:
        NotImplementedError: Required attributes are missing; the message names all of them.
    """

    name: str
    requires_logging_directory: bool
    main_process_only: bool = True
    """Whether methods decorated with `on_main_process` run on rank zero only."""

    sdk: ClassVar[str | None] = None
    """Name of the module that `start` imports, when it is a third-party one."""

    install: ClassVar[str | None] = None
    """What to pass to `pip install` to get that module."""

    takes_address: ClassVar[bool] = False
    """Whether `for_run` takes a server's address, such as `aim://host:53800`, in place of a folder."""

    in_all: ClassVar[bool] = True
    """Whether `log_with="all"` stands for this one, too."""

    batch_size: ClassVar[int] = 1
    """How many calls `log_batch` gets at once, at most."""

    durable_flush: bool = True
    """Whether what was logged before `flush` survives the end of the process. If not, records count as delivered from
    `finish` on, and all are delivered again where a process ends before it."""

    fast_paths: ClassVar[tuple[type[FastPath], ...]] = ()
    """What the tracker does through private parts of its SDK, while they are as it knows them."""

    keeps_status: ClassVar[bool] = False
    """Whether the backend knows how a run ended, so that `finish` is worth calling for that alone."""

    takes_text: ClassVar[bool] = True
    """Whether the backend stores texts among the values of `log`; if not, each is counted as dropped."""

    media: ClassVar[Mapping[str, Way]] = ALL
    """What becomes of each kind of medium, by the kind's name, such as "image"; and of an "artifact" and a "model". A
    tracker without one of its own gets media among the values of `log`, as they are."""

    takes_nan: ClassVar[bool] = True
    """Whether the backend stores NaN, as itself or as a text; if not, each is counted as dropped."""

    takes_inf: ClassVar[bool] = True
    """Whether the backend stores ±inf, as themselves or as texts; if not, each is counted as dropped."""

    keeps_time: ClassVar[bool] = False
    """Whether values that are delivered late are stored with the time at which they were logged."""

    keeps_alerts: ClassVar[bool] = False
    """Whether the backend has alerts of its own, which `alert` stores in place of a text."""

    keeps_nesting: ClassVar[bool] = False
    """Whether nested hyperparameters stay nested; if not, their names are joined with "/"."""

    precision: ClassVar[float] = 0.0
    """Relative error of a stored number: 0, or 1e-6 where the backend stores 32-bit floats."""

    keeps_of_a_step: ClassVar[Literal["all", "first", "last"]] = "all"
    """Which values the backend keeps where a name has several with one step."""

    continues: ClassVar[bool] = True
    """Whether another tracker, given `identity` of the first, continues its run."""

    checks_arguments: ClassVar[bool] = False
    """Whether `log` raises a TypeError for a keyword argument that the SDK does not know."""

    thread_bound: ClassVar[bool] = True
    """Whether the SDK's object must stay in the thread that started it, which then lives until `finish`. If not, the
    thread ends while the run is idle, and the next calls come from another one."""

    of_one_run: ClassVar[frozenset[str]] = frozenset(("id", "name", "run_id", "run_name", "resume"))
    """The constructor arguments that name one run, which a child does not get of its parent's."""

    wraps_terminal: ClassVar[bool] = False
    """Whether the SDK captures the terminal's output from `start` to `finish`: such trackers are finished
    last-started-first, so that each puts back what it found."""

    needs_terminal: ClassVar[bool] = False
    """Whether it writes to the program's terminal, and so stays in the program's process."""

    record_time: float | None = None
    """When the values being delivered were logged, in seconds since 1970-01-01 UTC; None outside of a delivery."""

    outcome: Outcome = FINISHED
    """How the run ended, known just before `finish`; in its place a tracker tells its backend."""

    users: int = 0
    """How many front doors have started this instance and not ended yet; kept by the delivery."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have batches made of `log` where a subclass changes that alone."""
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
        """Whether `start` has been called and `finish` not yet."""
        return self.users > 0

    @property
    def dropped(self) -> Counter[str]:
        """How many values of each name the backend could not take."""
        counter: Counter[str] = self.__dict__.setdefault("_dropped", Counter())
        return counter

    @property
    def taken(self) -> Taken:
        """What the backend has of batches that raised half-way; for a `log_batch` that stores record by record."""
        taken: Taken | None = self.__dict__.get("_taken")
        if taken is None:
            taken = self.__dict__["_taken"] = Taken()
        return taken

    def forget(self) -> None:
        """Forget what an earlier run of this object has left; called before `start`."""
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
            values: Names to values, possibly nested; scalars are Python numbers. The dictionary is this tracker's own.
        """

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store where the program runs; by default with the hyperparameters.

        A backend that has another place for it, such as tags, overrides this.

        Args:
            values: One name, "environment" (or "environment_2", … of a run that goes on), to JSON values by name.
        """
        self.store_init_configuration(values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record values.

        Args:
            values: Names to values in the structure the user gave; scalars are Python numbers. The dictionary is this
                tracker's own.
            step: Training step, 0 or more, or None when the user gave none.
            **kwargs: Passed through from `log_kwargs[name]`.
        """

    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Record several calls of `log`; when it raises, it is given the same records again, whole or in halves.

        Every delivery comes through here. The default hands the records to `log` one by one, and leaves out what it has
        handed over before; it is also that of a subclass that overrides `log` alone, whatever its base does. A backend
        that can store many at once overrides this and `batch_size`, and records all of them or, when it raises, none.

        Args:
            records: Calls in their order, each with `values`, `step`, `time` and `kwargs` by tracker name. The
                sequence may make them when they are looked at.
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
        """The media of calls of this tracker's own methods, and files that are made of media."""
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

        A backend that has alerts overrides this and sets `keeps_alerts`. Those of a run come here in the order of its
        records, with the time at which they were raised in `record_time`.

        Args:
            title: What has happened, in one line.
            text: More about it, in Markdown, or nothing.
            level: "info", "warning" or "error".
        """
        said = Alert(title, text, level).values[ALERT]
        self._log_media({ALERT: Text(said.info["text"])}, None)

    def said_late(self, text: str) -> str:
        """Return an alert's text, with the time at which it was raised where that is over a minute ago."""
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

        Their step is how many backward passes there were: a tracker object knows no other. `watch` of a front door
        takes the training's step, and goes through the journal. This ends with the tracker's run, or with `unwatch`.

        Args:
            model: The `torch.nn.Module`; it is not kept alive.
            log: "gradients", "parameters" or "all"; None: nothing.
            every: How many backward passes there are from one to the next that is looked at.
            log_freq: Another word for `every`.

        Raises:
            TypeError: `model` is no module.
            ValueError: `log` or `every` is something else.
        """
        if log is not None and not (self.main_process_only and process_index() != 0):
            watches: OwnWatches = self.__dict__.setdefault("_watches", OwnWatches(self))
            watches.add(model, log, every if log_freq is None else log_freq)

    def unwatch(self, model: Any = None) -> None:
        """Take histograms of a module no longer, or of none."""
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
        """Store a file, or a folder with all its files; the default counts it as dropped.

        Args:
            path: The file or folder. It may be deleted once this returns.
            name: Name of the artifact; None: that of the file or folder.
            type: What it is; "model" for models.
            metadata: What is known about it, as JSON values.
            copy: Of no account here.
            step: Training step.
        """
        self.drop(name or os.path.basename(path), path, "it keeps no artifacts")

    def rewind(self, step: int) -> None:
        """Make values of a step and later ones, of which the run logs others now, step back; the default does nothing.

        Called where a run goes on from a checkpoint that is older than what it had logged.

        Args:
            step: The next step that will be logged.
        """

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Store a checkpoint; one of that name before it is replaced. The default counts it as dropped.

        Args:
            name: Name of the checkpoint, e.g. "epoch=3-step=400"; usable as a file's name.
            path: The file, or the folder of a sharded checkpoint. It may be deleted once this returns.
            step: Training step.
            values: What is known about it: JSON values by name, such as `monitor`, `score`, `best`, `last`.
        """
        self.drop("checkpoint", path, "it keeps no checkpoints")

    def log_graph(self, model: Any, inputs: Any) -> None:
        """Store a module's graph, called on the thread that trains; the default does nothing.

        Args:
            model: A `torch.nn.Module`.
            inputs: What its `forward` takes.
        """

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Store what is known now of a checkpoint stored before, in place of what was; the default does nothing.

        A backend that cannot should not store `best` and `last`, which do not stay true.

        Args:
            name: Name of the checkpoint.
            step: Training step.
            values: As for `log_checkpoint`.
        """

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint stored before, which the program itself has deleted; the default leaves it."""

    def now(self) -> float:
        """Return the wall-clock time to store with values: when they were logged, which may be long ago."""
        return time.time() if self.record_time is None else self.record_time

    def flush(self) -> None:
        """Make sure that what was logged is where the backend keeps it."""

    def rest(self) -> None:
        """Give back files and connections, which the next call takes again: after a `flush`, the run has become idle.

        The default does nothing.
        """

    def is_transient(self, error: BaseException) -> bool:
        """Whether an error of `start`, `log` or another method may pass by itself, so that repeating the call helps.

        The default says so of lost connections, timeouts, and answers of a server with the status 408, 429 or 5xx.
        """
        return is_transient(error)

    def concerns_run(self, error: BaseException) -> bool:
        """Whether an error is the connection's or the run's and no record's fault, so that delivery waits.

        The default says so of refused credentials, addresses that cannot be right, and answers of a server with the
        status 401, 403, 404 and the like. Of other errors it shows: they are a record's if its neighbours pass.
        """
        return concerns_run(error)

    def as_experiment(self) -> Any:
        """Return what `logger.experiment` is in Lightning: the SDK's own object, or one that answers as it, too."""
        return self.tracker

    def identity(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments with which another process continues this very backend run.

        Asked between `start` and `finish`. Only what JSON can hold, and no secrets. The default is none.
        """
        return {}

    def planned_identity(self) -> dict[str, Any]:
        """Choose what `identity` of the run that `start` is about to open will be; the default is none.

        It is stored before `start`, so that a process that is killed in there leaves no run that none can continue.
        For backends whose runs get their id from the client.
        """
        return {}

    def read(self) -> BackendRun:
        """Return the backend run that this tracker logs to, or logged to, as the backend's own reader has it.

        It neither opens nor changes the run: it may be called before `start` of a tracker that was constructed with
        `identity`, and after `finish`.

        Raises:
            NotReadableError: The backend has no such run, it cannot be read from here, or the tracker has no reader,
                as the default has none; the message says which.
        """
        message = f"{self.name}: this tracker has no reader; define `read` to compare what its backend has."
        raise NotReadableError(message)

    def stored_name(self, name: str) -> str:
        """Return the name under which the backend has a metric, once names of nested ones are joined with "/"."""
        return name

    def page(self) -> str | None:
        """Return the address of the backend run's page, where there is one; asked between `start` and `finish`."""
        return None

    def look(self) -> str | None:
        """Return the command with which people look at the backend run, where it has no page; the default is none.

        `show` and the closing report tell it. As `read`, it may be called before `start` of a tracker that was
        constructed with `identity`, and after `finish`; the SDK is not imported for it. `folders.command_line` quotes.
        """
        return None

    def finish(self) -> None:
        """Close the run; `outcome` says how it ended."""

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Return constructor arguments that put the runs of several ranks together; the default is none.

        Args:
            group: The name that they share.
            rank: Number of this process.
        """
        return {}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Return constructor arguments that make the new run the child of another; the default is none.

        Args:
            identity: What `identity` of the tracker of the parent is; empty where that is not known.
            parent: Name of the parent.
        """
        return {}

    @classmethod
    def in_folder(cls, folder: str, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Return constructor arguments that put a run's local files into a folder; the default is none.

        For runs whose folder is not called by their project and name, in a logger with `name="a/b"` for example.

        Args:
            folder: The folder, below `directory`.
            directory: The logging directory.
        """
        return {}

    @classmethod
    def installed(cls) -> bool:
        """Whether the SDK can be imported; does not import it."""
        return cls.sdk is None or importlib.util.find_spec(cls.sdk) is not None

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Return None, or a sentence that says which setting is missing and what to set.

        Asked before `start`, which must never prompt on the terminal.

        Args:
            init_kwargs: The constructor's keyword arguments for this tracker.
        """
        return None

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Construct the tracker of one run; a front door calls this for trackers given by name.

        The default passes the project's name, and the logging directory where the class requires one, as the first
        positional arguments. A backend that knows run names overrides it.

        Args:
            project: Name of the project (a backend may call it experiment).
            run_name: Name of the run in its project; None: that of the backend run that is continued.
            directory: The logging directory, or None.
            init_kwargs: The user's keyword arguments, which win over everything derived here.
        """
        positional: tuple[Any, ...] = (project, directory) if cls.requires_logging_directory else (project,)
        return cls(*positional, **init_kwargs)

    def drop(self, key: str, value: Any, reason: str = "") -> None:
        """Count a value that the backend cannot take, and warn about the first of each name."""
        self.dropped[key] += 1
        if self.dropped[key] == 1:
            why = reason or f"the backend takes no {type(value).__name__}"
            warn(f"{self.name}: dropped {key!r}: {why}. Further ones of this name are counted silently.", stacklevel=3)


class NoOpTracker(NoOp, GeneralTracker):
    """What `get_tracker` returns off the main process: every method, also one that few trackers have, does nothing."""

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
