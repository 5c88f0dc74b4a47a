"""The run: the only way from a front door's call to its trackers."""

from __future__ import annotations

import html
import itertools
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from accel_track.credentials.recognition import scrubbed
from accel_track.delivery.artifacts import name_of
from accel_track.delivery.base import Delivery, Place, Plan
from accel_track.delivery.family import Parent, inherited, knows_parents
from accel_track.delivery.modes import mode_of
from accel_track.endings import Ending, wait_for_collected
from accel_track.errors import JournalError, NotStartedError, ResumeError, UnwritableDirectoryError, behind, warn
from accel_track.folders import expanded, is_address, located
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import TrackerInfo, new_run_id
from accel_track.media.calls import AlertLevel, MediaCalls
from accel_track.noop import NoOp
from accel_track.options import Settings
from accel_track.outcome import Outcome, Status, outcome_of, outcome_with
from accel_track.records import Alert
from accel_track.redaction import redacted
from accel_track.registry import Selected, build, check_init_kwargs, check_rules, tracker_class
from accel_track.resume import find_earlier
from accel_track.texts import printable, storable_text
from accel_track.trackers.base import GeneralTracker, NoOpTracker
from accel_track.trackers.elsewhere import TrackerElsewhere, TrackerNotStarted
from accel_track.values.plain import check_config, check_name, check_step, storable, warn_of_same_names

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.monitors.watch import Watch, Watched
    from accel_track.views.notebook import RunView

_BEGINS_ANEW = "{}: its backend run cannot be continued; a new one begins in the continued run."
_PATIENCE = 2.0
"""How long a run waits for the ends of those that were collected before it, in seconds."""
_START = 5.0
"""How long `backend_identity` waits for a companion process, in seconds."""
_AGAIN = 0.05
_TITLE, _TEXT = 200, 10_000
"""Characters of an alert that are kept."""


class Run(MediaCalls):
    """One run: its started trackers and, unless delivery is inline, the journal from which they are fed.

    A front door makes the run; `with run:` ends the run with the block.

    Args:
        selected: The trackers, as `registry.select` returns them.
        project: Name of the project; it must be usable as a folder name.
        name: Name of the run in its project. Default: a name made from the run's id.
        distinct: Whether the run gets another name if another run of the project has this name.
        directory: The logging directory, which is created if it is missing; None if no tracker needs one.
        init_kwargs: Constructor arguments by tracker name.
        config: Hyperparameters, or None.
        argument: Name of the caller's argument for the directory, for error messages.
        settings: The options of the run. Default: those of the environment's variables.
        rank: Rank of this process. A rank other than 0 has its own journal and trackers in the run of rank 0.
        run_id: Name of the run directory; None for a new one. A rank other than 0 gets the name from rank 0.
        resumed: The run directory of the run to continue, whose project, name and backend runs are used; None for a
            new run.
        step: The next step of a continued run; None for the first step that is logged.
        exits_on_sigterm: Whether the program exits in order on SIGTERM until the run ends, and not only during the
            start. A handler of the program or of a library keeps the signal.
        parent: The parent of this run, or None.

    Raises:
        ValueError: A name is unusable.
        ResumeError: Another process is logging to `resumed`.
        TypeError: `config` is not a dictionary, or has a key that is not a string.
        UnwritableDirectoryError: `directory` cannot be created or written to.
        NotConfiguredError: A named backend lacks its credentials.
        Exception: A tracker failed to start; the trackers that had started are finished again.
    """

    def __init__(
        self,
        selected: Sequence[Selected],
        *,
        project: str,
        name: str | None = None,
        distinct: bool = False,
        directory: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        config: Any = None,
        argument: str = "project_dir",
        settings: Settings | None = None,
        rank: int = 0,
        run_id: str | None = None,
        resumed: RunDirectory | None = None,
        step: int | None = None,
        exits_on_sigterm: bool = False,
        parent: Parent | None = None,
    ) -> None:
        """Check everything, construct the trackers, then begin the journal, store `config` and start the trackers."""
        self.settings = settings or Settings.of()
        self.earlier = None if resumed is None else resumed.load()
        if self.earlier is not None:
            project, name = self.earlier.project, self.earlier.name
        self.rank = rank
        self.project = check_name(project, "project_name")
        self.run_id = (run_id or new_run_id()) if resumed is None else resumed.path.name
        self.name = check_name(self.run_id if name is None else name, "run name")
        self.config = None if config is None else self._redacted(check_config(config))
        self.directory, local = _placed(directory, argument)
        kwargs = located(check_init_kwargs(init_kwargs, selected))
        check_rules(self.settings.rules, selected)
        mode = mode_of(self.settings)
        self._runs_trackers, self._parent = mode.runs_trackers, parent
        self._selected, self._init_kwargs = list(selected), dict(kwargs)
        self._exits_on_sigterm = exits_on_sigterm
        plans = self._plans(selected, kwargs)
        if local is not None and selected:
            _check_writable(local, argument)
        parent_id = None if parent is None else parent.run_id
        place = Place(local, self.project, self.name, rank, self.run_id, resumed, distinct, parent_id)
        self._delivery, plans = self._begun(mode, place, plans)
        if self._delivery.name != self.name:
            if not rank:
                message = f"another run of {project!r} is called {self.name!r}; this one is called "
                warn(f"{message}{self._delivery.name!r}.")
            self.name = self._delivery.name
            plans = self._plans(selected, kwargs)
        if self.earlier is not None and step is not None:
            self._delivery.rewind(step)
        if self.config is not None:
            self._delivery.configure(self.config)
        self._ending = Ending(self._delivery)
        self._rewinds = self.earlier is not None and step is None
        self._told: set[str] = set()
        self._watches: list[Watch] = []
        self._watched_step: int | None = None
        self._raises = self.settings.on_error == "raise"
        self._elsewhere: dict[str, TrackerElsewhere] = {}
        self._order = [plan.name for plan in plans]
        self._view: RunView | None = None
        self._at_end: dict[str, TrackerInfo] = {}
        wait_for_collected(_PATIENCE)
        with self._ending.starting(exits_on_sigterm=exits_on_sigterm):
            self._delivery.add(plans)
        self._ending.watch(self)

    def _begun(self, mode: type[Delivery], place: Place, plans: list[Plan]) -> tuple[Delivery, list[Plan]]:
        """Begin the journal; a new one where another process was faster to go on in that of an earlier run.

        Raises:
            ResumeError: It was, and the run must be continued, or must have its name.
        """
        try:
            return mode(self.settings, place), plans
        except ResumeError:
            must = self.settings.resume == "must" or self.settings.all_ranks or not place.distinct
            if must or place.resumed is None or self.earlier is None:
                raise
            warn(f"{place.resumed.path} is not continued, since another process is logging to it; a new run begins.")
            self.name, self.earlier, self.run_id = self.earlier.wanted or self.name, None, new_run_id()
            place = place._replace(name=self.name, run_id=self.run_id, resumed=None)
            return mode(self.settings, place), self._plans(self._selected, self._init_kwargs)

    def __enter__(self) -> Self:
        """Return the run, which ends with the block."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the run, by the block's exception if there is one."""
        with behind(error):
            self.finish(outcome_of(error))

    def _repr_html_(self) -> str | None:
        """Return a notebook's view of the run, status and small curves; None if the run cannot be read."""
        try:
            return self._html()
        except Exception:  # noqa: BLE001 - a look at a run stops no cell
            return None

    def _html(self) -> str:
        from accel_track.views.notebook import RunView, overview

        if self.run_directory is None:
            names = ", ".join(one.name for one in self.trackers)
            state = "running" if self.outcome is None else self.outcome.text
            hint = f"Its values go straight to {names}: with inline delivery there is no journal to draw curves from."
            return overview([self.project, self.name], state, [], html.escape(hint))
        if self._view is None:
            self._view = RunView(self.run_directory)
        return self._view.html()

    @property
    def starts(self) -> int:
        """The number of processes that have begun to log to the run, one after the other, including this process."""
        return 1 if self.earlier is None else self.earlier.starts + 1

    @property
    def run_directory(self) -> RunDirectory | None:
        """The run directory, which holds the journal; None with inline delivery."""
        return self._delivery.directory

    @property
    def trackers(self) -> list[GeneralTracker]:
        """The trackers in the order of `log_with`.

        A stand-in takes the place of a tracker in another process, and of one that has not started yet: its calls go to
        the journal, and from there to the tracker.
        """
        for name, why in self._delivery.apart.items():
            if name not in self._elsewhere:
                self._elsewhere[name] = TrackerElsewhere(name, why, self)
        waiting = self._delivery.not_started
        here = [TrackerNotStarted(one, self) if one in waiting else one for one in self._delivery.trackers]
        return self._in_order([*here, *self._elsewhere.values()])

    @property
    def local_trackers(self) -> list[GeneralTracker]:
        """The trackers in this process, without stand-ins."""
        return self._in_order(self._delivery.trackers)

    def _in_order(self, trackers: Sequence[GeneralTracker]) -> list[GeneralTracker]:
        places = {name: place for place, name in enumerate(self._order)}
        return sorted(trackers, key=lambda one: places.get(one.name, len(places)))

    def add(self, selected: Sequence[Selected], init_kwargs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Add trackers to the run; with a journal, they get everything since the run's beginning.

        Args:
            selected: The trackers, as `registry.select` returns them.
            init_kwargs: Constructor arguments by tracker name.

        Raises:
            ValueError: `init_kwargs` names a tracker that is not among them.
            Exception: A tracker failed to start.
        """
        kwargs = located(check_init_kwargs(init_kwargs, selected))
        plans = self._plans(selected, kwargs)
        self._selected += selected
        self._init_kwargs |= kwargs
        self._order += [plan.name for plan in plans]
        self._delivery.add(plans)

    def child(
        self, name: str, config: Any = None, *, init_kwargs: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Run:
        """Begin a child of this run, such as a trial of a search: a run of its own that backends show with its parent.

        The child has the project, the folder, the options and the trackers of this run. The trackers get the same
        constructor arguments, except those that name one run; a tracker that was passed as an object takes no part.
        MLflow nests the child below its parent; wandb, Trackio and SwanLab put the child into a group with the
        parent's name; in the other backends, the child's name tells its parent. A child does not end with its parent:
        call its own `finish`, or use a `with` block.

        Args:
            name: Name of the child. Backends and the disk have the parent's name and "-" before it. With `resume`, an
                unfinished child of this name is continued.
            config: Hyperparameters of the child.
            init_kwargs: Further constructor arguments by tracker name, for the child.

        Returns:
            The child.

        Raises:
            ValueError: The name is unusable, `init_kwargs` names a tracker that the child does not have, or the run
                has `all_ranks`, whose processes cannot agree on a child.
            Exception: The errors of the constructor.
        """
        if self.settings.all_ranks:
            message = "child: the processes of a run with all_ranks cannot agree on one; begin runs of their own."
            raise ValueError(message)
        name = f"{self.name}-{check_name(name, 'name')}"
        for one in self._selected:
            if one.instance is not None:
                warn(f"{one.name}: was passed as an object, which logs to one run; {name!r} is without it.")
        selected = [one for one in self._selected if one.instance is None]
        given = check_init_kwargs(init_kwargs, selected)
        kwargs = {
            one.name: {**inherited(one.name, self._init_kwargs.get(one.name, {})), **given.get(one.name, {})}
            for one in selected
        }
        linked = [one.name for one in selected if knows_parents(one.name)]
        settings, earlier = self.settings, None
        if settings.resume != "never" and settings.keeps_journal:
            place = None if is_address(self.directory) else self.directory
            must = settings.resume == "must"
            mirror = None if self.earlier is None else settings.mirror  # a new run has no child anywhere
            earlier = find_earlier(place, self.project, name, finished=must, mirror=mirror, parent=self.run_id)
        return Run(
            selected,
            project=self.project,
            name=name,
            distinct=True,
            directory=self.directory,
            init_kwargs=kwargs,
            config=config,
            settings=settings,
            resumed=earlier,
            exits_on_sigterm=self._exits_on_sigterm,
            parent=Parent(self.run_id, self.name, {one: self._continued_by(one) for one in linked}),
        )

    def _continued_by(self, name: str) -> dict[str, Any]:
        """Return the constructor arguments that continue a tracker's backend run, without waiting for its delivery.

        A tracker in a companion process gets as long to start as a tracker of this process.
        """
        with suppress(JournalError):
            if name in self._delivery.apart:
                return self._noted_identity(name, self.settings.start_timeout)
            if identity := self._noted(name).identity:
                return identity
        return next((one.identity() for one in self.local_trackers if one.name == name), {})

    def _plans(self, selected: Sequence[Selected], kwargs: Mapping[str, Mapping[str, Any]]) -> list[Plan]:
        """Construct the trackers that take part; those of a continued run continue their backend runs."""
        plans: list[Plan] = []
        for one in selected:
            given, is_instance = kwargs.get(one.name, {}), one.instance is not None
            if not self._runs_trackers:
                plans.append(Plan(one.name, None, given, is_instance))
                continue
            name: str | None = f"{self.name}-rank{self.rank}" if self.rank else self.name
            more: dict[str, Any] = {}
            if one.instance is None:
                identity = more = self._identity(one)
                if identity and not self.rank and self.earlier is not None and self.earlier.name is None:
                    name = None  # an earlier version of this package has let the backend choose
                if self.settings.all_ranks and not (cls := tracker_class(one.name)).main_process_only:
                    more = {**cls.grouped(self.name, self.rank), **identity}
                if self._parent is not None:
                    more = {**self._parent.link(tracker_class(one.name), one.name), **more}
            elif self.earlier is not None and one.name in self.earlier.trackers:
                warn(_BEGINS_ANEW.format(one.name))
            complete = {one.name: {**more, **given}}
            built = build([one], self.project, name, self.directory, complete)
            here = [tracker for tracker in built if self.rank == 0 or not tracker.main_process_only]
            plans += [Plan(one.name, tracker, given, is_instance) for tracker in here]
        return plans

    def _identity(self, one: Selected) -> dict[str, Any]:
        """Return the constructor arguments that continue a tracker's backend run; warn if a run has none."""
        info = None if self.earlier is None else self.earlier.trackers.get(one.name)
        if info is None:
            return {}
        identity = info.ranks.get(str(self.rank), {}) if self.rank else info.identity
        if not identity and self.rank == 0:
            warn(_BEGINS_ANEW.format(one.name))
        return identity

    def has_configuration(self, config: Any) -> bool:
        """Return whether hyperparameters are the run's own; also true if `config` is None or the run has none yet.

        Args:
            config: Hyperparameters, as for `store_configuration`, or None.

        Raises:
            TypeError: `config` is not a dictionary, dataclass, namespace or OmegaConf node with string keys.
        """
        given = None if config is None else self._redacted(check_config(config))
        return given is None or self.config is None or storable(given) == storable(self.config)

    def store_configuration(self, config: Any, *, only: str = "") -> None:
        """Store hyperparameters in every tracker; entries that a tracker has already are left out.

        Args:
            config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
            only: Name of the one tracker that gets them, with all entries. Default: every tracker.

        Raises:
            TypeError: `config` is not a dictionary, dataclass, namespace or OmegaConf node with string keys.
        """
        if only:
            self._delivery.configure(self._redacted(check_config(config)), only=only)
            return
        known = self.config or {}
        news = {
            key: value
            for key, value in self._redacted(check_config(config)).items()
            if key not in known or not _same(known[key], value)
        }
        if news or self.config is None:
            self.config = {**known, **news}
            self._delivery.configure(news)

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store a description of the program's environment in every tracker, apart from the hyperparameters.

        The entry is called "environment"; a continued run adds "environment_2", "environment_3", ….

        Args:
            values: JSON values by name.
        """
        names = ("environment" if count == 1 else f"environment_{count}" for count in itertools.count(self.starts))
        name = next(name for name in names if name not in (self.config or {}))  # a hyperparameter may be called so
        self._delivery.configure({name: values}, environment=True)

    def _redacted(self, config: dict[str, Any]) -> dict[str, Any]:
        return redacted(config) if self.settings.redact else config

    def log(
        self,
        values: Any,
        step: Any = None,
        kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        only: str = "",
    ) -> None:
        """Log values. With a journal, the values are on disk when this call returns.

        Args:
            values: Values by name, possibly nested: numbers, texts, tensors, arrays, and media such as
                [`Image`][accel_track.media.Image]. The dictionary stays as it is.
            step: Training step, 0 or more, or None. A float without a fraction counts as its integer.
            kwargs: Keyword arguments by tracker name for the trackers' own `log`.
            only: Name of the one tracker that gets the values. Default: every tracker.

        Raises:
            TypeError: `values` is no dictionary with string keys, `step` is no integer, or `kwargs` is no dictionary
                of dictionaries.
            ValueError: `step` is negative.
            Exception: With `on_error="raise"`, the error of a tracker.
        """
        if self._watches:
            self._log_watched(step)
        if not self._rewinds and not kwargs and not only and self._delivery.again(values, step):
            if self._raises:
                self._delivery.raise_failure()
            return
        step = check_step(step)
        call = self._delivery.captured(values, kwargs)
        if call.nested:
            warn_of_same_names(call.values, self._told)
        if self._rewinds and step is not None:
            self.rewind(step)
        self._delivery.log(call._replace(only=only) if only else call, step)

    def watch(
        self, model: Any, log: Watched | None = "gradients", every: int = 100, *, log_freq: int | None = None
    ) -> None:
        """Log histograms of a module's gradients and parameters, as `gradients/<name>` and `parameters/<name>`.

        A watch takes histograms in the first backward pass and then in every `every`-th one, without waiting for a
        GPU, and logs them with the step of the next call of `log`; see [`Watch`][accel_track.monitors.watch.Watch].
        The watch ends with the run or with `unwatch`. A second call for the same module replaces its watch.

        Args:
            model: The `torch.nn.Module`. The watch does not keep it alive.
            log: "gradients", "parameters", "all", or None for no histograms.
            every: Backward passes from one set of histograms to the next, 1 or more.
            log_freq: Another name of `every`, as in Lightning's `WandbLogger`.

        Raises:
            TypeError: `model` is not a module.
            ValueError: `log` or `every` has an unknown value.
        """
        if log is not None:
            from accel_track.monitors.watch import Watch, interval

            self.add_watch(Watch(model, log, interval(every, log_freq)))

    def add_watch(self, watch: Watch) -> None:
        """Log the histograms of a watch, which replaces an earlier watch of the same module.

        Args:
            watch: The watch.
        """
        self.unwatch(watch.model)
        self._watches.append(watch)

    def unwatch(self, model: Any = None) -> None:
        """End the watch of a module, and log the histograms that it has taken.

        Args:
            model: The module. Default: all watched modules.
        """
        if not self._watches:
            return
        from accel_track.monitors.watch import bare

        ending = [one for one in self._watches if model is None or one.model is bare(model)]
        self._watches = [one for one in self._watches if one not in ending]
        for one in ending:
            one.end()
            one.stamp(self._watched_step)
        self._log_histograms(ending, wait=True)

    def _log_watched(self, step: Any) -> None:
        """Log the histograms that are ready; those without a step get this one."""
        step = check_step(step)
        self._watched_step = self._watched_step if step is None else step
        for watch in self._watches:
            watch.stamp(step)
        self._log_histograms(self._watches)

    def _log_histograms(self, watches: Sequence[Watch], *, wait: bool = False) -> None:
        found = [one for watch in watches for one in watch.histograms(wait=wait)]
        if not found:
            return
        others, self._watches = self._watches, []  # their next step is not one of these
        try:
            for step, values in found:
                self.log(values, step)
        finally:
            self._watches = others

    def alert(self, title: str, text: str = "", level: AlertLevel = "info", *, only: str = "") -> None:
        """Raise an alert, which goes to the journal, the terminal, the trackers and the notification services.

        wandb and Trackio have alerts of their own, and Comet sends a mail if it is online; the other trackers get a
        text called "alert". The variable `ACCEL_TRACK_NOTIFY` names the services, to which the companion process sends
        the alert.

        Args:
            title: The event in one line. More than 200 characters are cut off.
            text: Details in Markdown. More than 10,000 characters are cut off.
            level: "info", "warning" or "error".
            only: Name of the one tracker that gets the alert; nobody else does then. Default: all.

        Raises:
            TypeError: `title` or `text` is not a text.
            ValueError: `level` is unknown.
        """
        if not isinstance(title, str) or not isinstance(text, str):
            message = f"`alert` takes texts; got {type(title).__name__} and {type(text).__name__}."
            raise TypeError(message)
        if level not in get_args(AlertLevel):
            message = f"`level` must be one of {', '.join(get_args(AlertLevel))}; got {level!r}."
            raise ValueError(message)
        if self.settings.redact:
            title, text = scrubbed(title), scrubbed(text)
        self._delivery.alert(Alert(printable(title)[:_TITLE], storable_text(text)[:_TEXT], level), only)

    def _log_media(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        no_arguments(kwargs)
        self.log(values, step)

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
        only: str = "",
    ) -> None:
        """Log a file, or a folder with all its files.

        Anything in a folder that is not a regular file (a link to a folder, a socket, a device) is left out with a
        warning. An artifact that cannot be read is dropped with a warning.

        Args:
            path: The file or folder.
            name: Name of the artifact. Default: the name of the file or folder.
            type: Kind of the artifact, such as "dataset". Default: "artifact".
            metadata: Facts about the artifact, as JSON values by name.
            copy: Whether the files are copied before this call returns; see
                [`log_artifact`][accel_track.media.calls.MediaCalls.log_artifact].
            step: Training step, 0 or more, or None.
            only: Name of the one tracker that gets the artifact. Default: every tracker.

        Raises:
            TypeError: `path`, `name`, `metadata` or `step` has the wrong type.
            ValueError: `step` is negative.
        """
        if not (name is None or isinstance(name, str)) or not (metadata is None or isinstance(metadata, Mapping)):
            message = "`log_artifact` takes a text for `name` and a dictionary for `metadata`."
            raise TypeError(message)
        if not isinstance(path, (str, os.PathLike)):
            message = f"`log_artifact` takes the path of a file or folder; got {path.__class__.__name__}."
            raise TypeError(message)
        step, where = check_step(step), os.fspath(path)
        try:
            if not where:
                message = "the path is empty"
                raise ValueError(message)  # noqa: TRY301 - not the working directory
            place = os.path.abspath(expanded(where, "path"))
        except ValueError as error:  # also a variable that is not set
            self._delivery.lost(name_of(storable_text(name or ""), where), error, only)
            return
        kind, values = storable_text(type or "artifact"), dict(metadata or {})
        self._delivery.artifact(place, storable_text(name or ""), kind, step, values, copy, only)

    def rewind(self, step: int | None) -> None:
        """Go on from an earlier step: values that were logged with this step or a later one no longer count.

        Args:
            step: The next step; None for the step of the next call of `log`.
        """
        self._rewinds = step is None
        if step is not None:
            self._delivery.rewind(step)

    def go_on(self) -> None:
        """Keep all earlier values of a continued run, even if it logs the same steps again."""
        self._rewinds = False

    def log_checkpoint(
        self, name: str, path: str | os.PathLike[str], step: int | None = None, values: Mapping[str, Any] | None = None
    ) -> None:
        """Store a checkpoint in the trackers that keep checkpoints; it replaces an earlier one of the same name.

        With a journal, the files are linked or copied into the run directory, and may be deleted after this call.

        Args:
            name: Name of the checkpoint, such as "epoch=3-step=400".
            path: The file or folder.
            step: Training step, or None.
            values: Facts about the checkpoint, such as its score, as JSON values by name.

        Raises:
            OSError: The files cannot be read.
        """
        self._delivery.checkpoint(name, os.fspath(path), step, dict(values or {}))

    def describe_checkpoint(self, name: str, step: int | None, values: Mapping[str, Any]) -> None:
        """Replace the facts that the trackers have about a checkpoint.

        Args:
            name: Name of the checkpoint.
            step: Training step, or None.
            values: Facts about the checkpoint, as for `log_checkpoint`.
        """
        self._delivery.checkpoint(name, "", step, dict(values))

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint in the backends that can do so.

        Args:
            name: Name of the checkpoint.
        """
        self._delivery.checkpoint(name, "", None, {})

    @overload
    def get_tracker(self, name: str, unwrap: Literal[False] = False) -> GeneralTracker: ...
    @overload
    def get_tracker(self, name: str, unwrap: bool) -> Any: ...
    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return a tracker, or its SDK's own object, after a wait of 5 seconds at most for earlier values.

        Args:
            name: Name of the tracker, such as "wandb".
            unwrap: Whether to return the SDK's own object, such as a `wandb.Run`, instead of the tracker.

        Raises:
            ValueError: No tracker of this run has that name.
            NotStartedError: With `unwrap`, the backend has not been reached yet.
            ElsewhereError: With `unwrap`, the tracker is in another process.
        """
        self._delivery.settle(name)
        for tracker in self.trackers:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker
        raise self._delivery.no_tracker(name)

    def native(self, tracker: GeneralTracker) -> Any:
        """Return the object that `logger.experiment` is for a tracker; None if its backend has not been reached yet.

        Args:
            tracker: A tracker of this run and this process.
        """
        self._delivery.settle(tracker.name)
        try:
            return tracker.as_experiment()
        except NotStartedError:
            return None

    def pages(self) -> dict[str, str]:
        """Return the addresses of the run's pages by tracker name, for the backends that have pages."""
        found: dict[str, str | None] = {}
        for tracker in self.trackers:
            if self.finished or tracker.name in self._delivery.apart:
                found[tracker.name] = self._noted(tracker.name).url
            elif self.native(tracker) is not None:
                found[tracker.name] = tracker.page()
        return {name: page for name, page in found.items() if page}

    def backend_identity(self, name: str) -> dict[str, Any]:
        """Return the constructor arguments that continue a tracker's backend run, such as its id.

        Args:
            name: Name of the tracker. A tracker in a companion process gets up to 5 seconds to start.

        Returns:
            JSON values by argument; empty if the tracker has no such arguments, or none yet.
        """
        if self.finished:
            return self._noted(name).identity
        if name not in self._delivery.apart:
            return next((one.identity() for one in self.trackers if one.name == name and self.native(one)), {})
        return self._noted_identity(name, _START)

    def _noted_identity(self, name: str, timeout: float) -> dict[str, Any]:
        end = time.monotonic() + (timeout if self.settings.runs_apart else 0.0)
        while not (identity := self._noted(name).identity) and time.monotonic() < end:
            time.sleep(_AGAIN)
        return identity

    def _noted(self, name: str) -> TrackerInfo:
        directory = self._delivery.directory
        known = self._at_end if directory is None else directory.load().trackers
        return known.get(name, TrackerInfo())

    def flush(self) -> None:
        """Ask every tracker to store what was logged; with a journal, wait a few seconds at most."""
        self._log_histograms(self._watches)
        self._delivery.flush()

    def rest(self) -> None:
        """Give back threads, files and locks once all records are delivered; the next record takes them again.

        If all records are delivered already, everything is given back when this call returns.
        """
        self._delivery.rest()

    def wake(self) -> None:
        """Take the threads, files and locks that `rest` gave back, before the next record does.

        Raises:
            ResumeError: Another process, or another front door of this process, has continued the run in the meantime.
        """
        self._delivery.wake()

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended. Before its end, the noted outcome, which it has if nothing else follows; None if none was.

        It may be set.
        """
        return self._ending.outcome

    @outcome.setter
    def outcome(self, outcome: Outcome | None) -> None:
        self._ending.outcome = outcome

    @property
    def fallback(self) -> Outcome | None:
        """The outcome that the run has if it is garbage-collected or the interpreter exits, and no other is known."""
        return self._ending.fallback

    @fallback.setter
    def fallback(self, outcome: Outcome | None) -> None:
        self._ending.fallback = outcome

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self._ending.finished

    def conclude(self, outcome: Outcome | None) -> None:
        """Note the outcome that the run has if nothing else follows; `finish` tells the trackers.

        Args:
            outcome: The outcome; None if the run goes on.
        """
        self.outcome = outcome
        self._delivery.conclude(outcome)

    def finish(self, outcome: Outcome | Status | None = None) -> None:
        """End the run, and finish each tracker that no other front door still uses; a second call does nothing.

        A garbage-collected run ends by itself, in the background.

        Args:
            outcome: The outcome of the run, or its status: "finished", "failed", "interrupted" or "preempted". Default:
                the outcome that `conclude` noted, else that of the exception that is being handled, else "finished".

        Raises:
            ValueError: There is no such status; the run goes on.
        """
        outcome = outcome if isinstance(outcome, Outcome) else outcome_with(outcome)
        try:
            if not self._ending.finished:
                self.unwatch()
                if self.run_directory is None:
                    self._keep_notes()
        finally:
            self._ending.finish(outcome)

    def _keep_notes(self) -> None:
        """Note identity and page of each backend run, which trackers forget at the end and no journal keeps."""
        for tracker in self.trackers:
            with suppress(Exception):  # a tracker's own
                self._at_end[tracker.name] = TrackerInfo(identity=tracker.identity(), url=tracker.page())


def no_arguments(kwargs: Mapping[str, Any]) -> None:
    """Reject further arguments of a call for media, which only a tracker passes to its SDK.

    Raises:
        TypeError: There are further arguments.
    """
    if kwargs:
        message = f"unknown argument {next(iter(kwargs))!r}; what one SDK alone knows goes to `get_tracker(name)`."
        raise TypeError(message)


def no_tracker(unwrap: bool) -> NoOp:
    """Return the object that stands for a tracker off the main process: every call on it does nothing."""
    return NoOp() if unwrap else NoOpTracker(_blank=True)


def _same(one: Any, other: Any) -> bool:
    """Return whether two hyperparameters are equal; objects without a plain answer, such as arrays, are not."""
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - `==` of an arbitrary object may raise anything
        return False


def _placed(directory: str | os.PathLike[str] | None, argument: str) -> tuple[str | None, str | None]:
    """Return the logging directory, or a server's address in its place; and the folder for the journal, or None."""
    if directory is None:
        return None, None
    place = os.fspath(expanded(directory, argument, or_address=True))
    if is_address(place):
        return place, None
    place = os.path.abspath(place)
    return place, place


def _check_writable(directory: str | os.PathLike[str], argument: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        message = f"`{argument}`: cannot write to {os.fspath(directory)!r} ({error.strerror}); choose another folder."
        raise UnwritableDirectoryError(error.errno, message) from error
