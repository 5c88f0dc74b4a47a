"""The run of one logger, over Trainer calls and the processes that Lightning launches for them."""

from __future__ import annotations

import contextlib
import multiprocessing.context
import os
import signal
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from accel_track.errors import ResumeError
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import new_run_id, outcome_noted
from accel_track.lightning.names import Names
from accel_track.lightning.run_choice import (
    Identity,
    continued,
    decide,
    mark_for,
    marks_of,
    match,
    next_version,
    note_continued,
    own_run,
    run_name,
)
from accel_track.lightning.trainer_calls import Call, allow_options_again, command_line_options, next_step
from accel_track.options import Settings
from accel_track.outcome import CRASHED, FINISHED, Outcome, current_outcome, outcome_of
from accel_track.registry import Selected, tracker_class
from accel_track.resume import Mark
from accel_track.run import Run
from accel_track.state import process_index

_NOT_ENDED = Outcome("failed", "the Trainer's call did not come to its end")
_INTERRUPTED = outcome_of(KeyboardInterrupt())
_REQUEUED = "finished"
"""The status for `finalize` in the signal handler with which Lightning has SLURM start the job again."""


class Session:
    """One logger's run: begun or continued when it is first needed, and ended.

    Args:
        settings: The options of the run.
        selected: What `registry.select` returned.
        names: Of the project, its folder and the run.
        save_dir: The logging directory.
        config: Hyperparameters.
        init_kwargs: Constructor arguments by tracker name.
    """

    def __init__(
        self,
        settings: Settings,
        selected: Sequence[Selected],
        names: Names,
        save_dir: str,
        config: dict[str, Any],
        init_kwargs: Mapping[str, Mapping[str, Any]] | None,
    ) -> None:
        """Start nothing yet."""
        self.settings = settings
        self.selected = selected
        self.name, self.folder = names.project, names.folder
        self.save_dir = save_dir
        self.config = config
        self.init_kwargs = init_kwargs
        self.run: Run | None = None
        self.ended: Run | None = None
        """The run that was ended last, of which the names here tell until the next use begins another one."""
        self.in_call = False
        """Whether a Trainer call has been set up and not ended."""
        self._given_version, self._sub_dir = names.version, names.sub_dir
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.ended = None
        self.run_id = new_run_id()
        self._version = self._given_version
        self._resumed: str | None = None
        self._step: int | None = None
        self._rewinds = True
        self._fit_ended = False
        self._trainer: weakref.ReferenceType[Any] | None = None

    @property
    def version(self) -> int | str:
        """The run's version; the next free number is looked up once."""
        if self._version is None:
            own = own_run(self.save_dir, self.name, self.run_id)
            next_ = next_version(self.save_dir, self.folder)
            self._version = next_ if own is None else continued(Mark(own, None)).version
        return self._version

    @property
    def run_folder(self) -> str:
        """Folder of the run below `save_dir`."""
        return os.path.join(self.folder, run_name(self.version))

    @property
    def sub_folder(self) -> str:
        """Folder of the trackers' files below `save_dir`."""
        return os.path.join(self.run_folder, self._sub_dir) if self._sub_dir else self.run_folder

    def arguments(
        self, selected: Sequence[Selected], init_kwargs: Mapping[str, Mapping[str, Any]] | None
    ) -> Mapping[str, Mapping[str, Any]] | None:
        """Return trackers' constructor arguments: the user's, and where local files go if the names do not say it.

        A tracker that continues its backend run finds its files itself.
        """
        if self.sub_folder == os.path.join(self.name, run_name(self.version)) and self.version != "":
            return init_kwargs
        placed: dict[str, Mapping[str, Any]] = {}
        earlier = {} if self._resumed is None else RunDirectory(self._resumed).load().trackers
        for one in selected:
            if one.instance is None and not (one.name in earlier and earlier[one.name].identity):
                with contextlib.suppress(ImportError):  # it is not needed here, or `Run` says that it is missing
                    placed[one.name] = tracker_class(one.name).in_folder(self.sub_folder, self.save_dir)
        given = init_kwargs or {}
        return {name: {**placed.get(name, {}), **given.get(name, {})} for name in {**placed, **given}}

    @property
    def trainer(self) -> Any:
        """The Trainer of the present or last call, or None."""
        return None if self._trainer is None else self._trainer()

    def open(self) -> Run:
        """Return the run, started if it is not.

        Raises:
            Exception: As `Run`; an AttributeError comes as a RuntimeError, which `hasattr` cannot hide.
        """
        if self.run is None:
            self._leave_ended()
            try:
                self.run = self._begin()
            except AttributeError as error:
                message = f"a tracker could not be started: {error}"
                raise RuntimeError(message) from error
            finally:
                if self.run is None and self._given_version is None and self._version is not None:
                    folder = os.path.join(self.save_dir, self.run_folder)
                    with contextlib.suppress(OSError):  # it is not empty
                        os.rmdir(folder)
                        os.rmdir(os.path.dirname(folder))
        return self.run

    def _begin(self) -> Run:
        if self._trainer is None:  # else all ranks have agreed
            self._agree(self.decide(None))
        try:
            run = self._made()
        except ResumeError:
            must = self.settings.resume == "must" or self.settings.all_ranks or not self._rewinds  # or it is our own
            if must or self._resumed is None:
                raise
            self.run_id = new_run_id()
            self._agree(self.decide(None))  # another process was faster to continue that run
            run = self._made()
        if not (self._rewinds and self._is_fit()):
            self._go_on(run)
        with contextlib.suppress(OSError):  # the folder only keeps the number from the next run
            os.makedirs(os.path.join(self.save_dir, self.run_folder), exist_ok=True)
        return run

    def _made(self) -> Run:
        return Run(
            self.selected,
            project=self.name,
            name=run_name(self.version) or None,
            directory=self.save_dir,
            init_kwargs=self.arguments(self.selected, self.init_kwargs),
            config=self.config or None,
            argument="save_dir",
            settings=self.settings,
            rank=process_index(),
            run_id=self.run_id,
            resumed=None if self._resumed is None else RunDirectory(self._resumed),
            step=self._step,
        )

    def _is_fit(self) -> bool:
        """Return whether the present Trainer call is a `fit`, or there is none."""
        return self.trainer is None or self.trainer.state.fn == "fit"

    def _go_on(self, run: Run) -> None:
        """Continue a run in which no step is logged again: in a test, or after another process of this program."""
        run.go_on()
        if run.earlier is not None and not self._is_fit():
            ended = outcome_noted(run.earlier)
            if ended is None and self._rewinds:  # of another program, which is gone
                ended = CRASHED
            if ended is not None:
                self._fit_ended = True
                run.conclude(ended)

    def decide(self, checkpoint: str | os.PathLike[str] | None) -> Identity:
        """Return the identity of the run, given the checkpoint that a `fit` goes on from.

        Raises:
            ResumeError: As `accel_track.lightning.run_choice.decide`.
        """
        marks, sessions = marks_of(checkpoint), self._all()
        mine = match(marks, [(one.name, one.tracker_names) for one in sessions])[sessions.index(self)]
        known = self.settings, self.save_dir, (self.name, self.folder), self._given_version, self.run_id
        return decide(*known, self.tracker_names, marks, mine, self._version)

    @property
    def tracker_names(self) -> list[str]:
        """Names of the trackers."""
        return [one.name for one in self.selected]

    def _all(self) -> list[Session]:
        """Return the sessions of the Trainer's loggers; without one, of its callbacks; this one is among them."""
        trainer = self.trainer
        if trainer is None:
            return [self]
        loggers = [getattr(one, "_session", None) for one in trainer.loggers]
        callbacks = [getattr(getattr(one, "_own", None), "_session", None) for one in trainer.callbacks]
        found = [[one for one in those if isinstance(one, Session)] for those in (loggers, callbacks)]
        return next((those for those in found if self in those), [self])

    def _agree(self, identity: Identity) -> None:
        launched, own = multiprocessing.parent_process() is not None, self.run_id
        self._version, self.run_id, self._resumed, self._step, self._rewinds = identity
        if self._given_version == "":  # the run's name is made up, its folder is not
            self._version = ""
        if launched and self._resumed is not None and self.run_id != own and process_index() == 0:
            note_continued(self._resumed, own)

    def set_up(self, call: Call, *, here: bool) -> None:
        """Prepare for a Trainer call; Lightning has this called on all ranks, so that they agree on the run's identity.

        Args:
            call: The call.
            here: Whether this process logs.
        """
        self.in_call = True
        self._leave_ended()
        if self.run is not None:
            self.run.wake()
        trainer, fitting = call.trainer, call.trainer.state.fn == "fit"
        self._trainer = weakref.ref(trainer)
        checkpoint = call.checkpoint if fitting else None
        mine = self.decide(checkpoint) if process_index() == 0 and self.run is None else None
        identity = trainer.strategy.broadcast(mine)
        if identity is not None:
            self._agree(identity)
        elif fitting and self.run is not None:
            self._fit_again(self.run, checkpoint)
        if self._resumed is not None:
            allow_options_again(trainer)
        if here:
            run = self.open()
            run.fallback = _NOT_ENDED
            if multiprocessing.parent_process() is not None:
                _note_interrupt(run)
            if (options := command_line_options(trainer)) is not None:
                run.store_configuration(options)

    def _fit_again(self, run: Run, checkpoint: str | os.PathLike[str] | None) -> None:
        self._fit_ended = False
        run.conclude(None)
        mark = None if run.run_directory is None else mark_for(run.run_directory, marks_of(checkpoint))
        if mark is not None:
            run.rewind(mark.step)

    def marks(self) -> list[Mark]:
        """Return the marks of a checkpoint that is saved now: the run of each of the Trainer's loggers."""
        step = None if self.trainer is None else next_step(self.trainer)
        runs = [one.run for one in self._all() if one.run is not None]
        return [Mark(one.run_directory, step) for one in runs if one.run_directory is not None]

    def end_call(self, status: str) -> None:
        """Note how a Trainer call ended, and flush; in a process launched for this call, end the run.

        Args:
            status: Lightning's word: "success", "failed", or "finished" where SLURM is to start the job again.
        """
        self.in_call = status == _REQUEUED
        outcome, run = _outcome(status), self.run
        if run is None:
            self._note_for_launched(outcome)
            return
        fitting = self._is_fit()
        if fitting or not self._fit_ended:  # a `test` that fails does not change how a `fit` ended
            self._fit_ended = fitting
            run.conclude(outcome)
        if multiprocessing.parent_process() is not None and status != _REQUEUED:
            self.run = None
            run.finish()
        else:
            run.flush()
            if not self.in_call:
                run.rest()

    def _note_for_launched(self, outcome: Outcome) -> None:
        """Store how a call ended that ran in processes launched by Lightning, whose errors only this process sees."""
        if self.ended is not None:  # in the middle of the call
            return
        own = own_run(self.save_dir, self.name, self.run_id)
        if process_index() == 0 and outcome != FINISHED and own is not None and own.load().status != "finished":
            own.conclude(outcome)

    def finish(self, outcome: Outcome | None) -> None:
        """End the run; the next use begins another one."""
        try:
            if self.run is not None:
                self.run.finish(outcome)  # a tracker may log meanwhile
        finally:
            self.run, self.ended = None, self.run or self.ended

    def _leave_ended(self) -> None:
        if self.ended is not None:
            self._begin_anew()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy: without the run, which lives in this process, and with the version, decided now.

        A copy for a process that Lightning launches has the same run; any other copy has a run of its own.
        """
        launched = multiprocessing.context.get_spawning_popen() is not None and not self.in_call
        if launched and self.run is not None:
            run, self.run = self.run, None
            run.finish(FINISHED)
            run.conclude(None)
        self._leave_ended()
        return {
            **self.__dict__,
            "run": None,
            "in_call": False,
            "run_id": self.run_id if launched else new_run_id(),
            "_version": self._version if launched else self.version,
            "_resumed": None,
            "_step": None,
            "_trainer": None,
        }


def _note_interrupt(run: Run) -> None:
    """Note Ctrl-C as the outcome of a run that ends with this launched process.

    torch ends a launched process quietly after Ctrl-C, Lightning tells of that end in the launching process, and the
    launched one may fail in another way first, since Ctrl-C ends its peers as well.
    """
    before = signal.getsignal(signal.SIGINT)
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, partial(_interrupted, run, before))


def _interrupted(run: Run, before: Callable[..., Any], *received: Any) -> None:
    run.fallback = _INTERRUPTED
    before(*received)


def _outcome(status: str) -> Outcome:
    if status == "success":
        return FINISHED
    if status == _REQUEUED:
        return Outcome("preempted", "SLURM is to start the job again")
    outcome = current_outcome()
    return Outcome("failed") if outcome == FINISHED else outcome
