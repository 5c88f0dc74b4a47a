"""The bridge to transformers: a callback for its Trainer, with an accel_track run behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from accel_track.begin import run_to_continue
from accel_track.errors import warn
from accel_track.options import Options, Settings, takes_options
from accel_track.outcome import FINISHED, Outcome
from accel_track.registry import LogWith, select
from accel_track.resume import Mark, is_free
from accel_track.run import Run
from accel_track.values.plain import check_config, check_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from accel_track.journal.directory import RunDirectory

_STATE = "accel_track"
"""Name of the callback's entry in the Trainer's state, which is in each checkpoint's `trainer_state.json`."""

_NOT_ENDED = Outcome("failed", "the training did not come to its end")


@takes_options
class AccelTrackTrainerCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not read by mypy
    """A callback that logs a transformers Trainer: `Trainer(…, callbacks=[AccelTrackTrainerCallback("mlflow")])`.

    The Trainer's values are logged with its global step as `train/…`, `eval/…` and `test/…`, the names of its own
    callbacks; its hyperparameters are `args/…`, the TrainingArguments, and `model/…`, the model's config. Set
    `report_to=[]` in the TrainingArguments, or transformers' own callbacks log the same values again.

    The run begins with the training, on the main process, and goes on over `evaluate`, `predict` and further calls of
    `train` until `finish`, the interpreter's exit, or the callback's garbage collection. A training that goes on from a
    checkpoint (`resume_from_checkpoint`) continues the run of that checkpoint. In a hyperparameter search, each trial
    is a child of the run.

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend.
        project: Name of the project. Default: `project` of the TrainingArguments, else "huggingface".
        project_dir: Folder for the journal and for trackers that store locally. Default: `output_dir` of the
            TrainingArguments.
        run_name: Name of the run. Default: `run_name` of the TrainingArguments, else a name made from the run's id.
        config: Hyperparameters besides those of the Trainer.
        init_kwargs: Constructor arguments by tracker name.
        log_checkpoints: Whether checkpoints go to the trackers that keep checkpoints. A checkpoint that the Trainer
            deletes is deleted in the backends that can do so.
        **options: The options of all front doors, such as `delivery`; see [`Options`][accel_track.options.Options].

    Raises:
        ValueError: A tracker is unknown, a name is unusable, or `all_ranks` is set, although the main process alone
            logs.
        TypeError: `log_with` or `config` has the wrong type.
        MissingPackageError: The package of a named backend, or transformers, is not installed.
    """

    def __init__(
        self,
        log_with: LogWith = "tensorboard",
        project: str | None = None,
        project_dir: str | os.PathLike[str] | None = None,
        run_name: str | None = None,
        config: Any = None,
        init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        log_checkpoints: bool = False,
        **options: Unpack[Options],
    ) -> None:
        """Check the arguments; nothing starts yet."""
        self._settings = Settings.of(**options)
        if self._settings.all_ranks:
            message = "AccelTrackTrainerCallback: the main process alone logs; leave out `all_ranks`."
            raise ValueError(message)
        self._project = None if project is None else check_name(project, "project")
        self._run_name = None if run_name is None else check_name(run_name, "run_name")
        self._directory = project_dir
        self._selected = select(log_with, project_dir or os.curdir, missing=self._settings.missing)
        self._config = {} if config is None else check_config(config)
        self._init_kwargs = init_kwargs
        self._log_checkpoints = log_checkpoints
        self._stored: list[str] = []
        self._search: Run | None = None
        self._trials = 0
        self.run: Run | None = None
        """The run, for values that the Trainer does not log: `callback.run.log_images(…)`.

        None before the training, after `finish`, and off the main process.
        """

    # -- the run ------------------------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Begin the run, or continue the current run or the checkpoint's."""
        if not state.is_world_process_zero:
            return
        if state.is_hyper_param_search:
            self._begin_trial(args, state, model)
        else:
            self._begin(args, self._checkpoint_run(args, state), state, model)
        assert self.run is not None  # noqa: S101 - it was begun
        self.run.fallback = _NOT_ENDED
        if self.run.run_directory is not None:
            path = os.fspath(self.run.run_directory.path.absolute())
            state.stateful_callbacks[_STATE] = {"run": path, "checkpoints": self._stored}

    def _begin(self, args: Any, earlier: RunDirectory | None, state: Any, model: Any) -> None:
        """Begin a run, or continue a checkpoint's or the current one."""
        run, config = self.run, self._all_config(args, model)
        step = None if earlier is None else int(state.global_step) + 1
        if run is not None and earlier is not None and not _is_of(run, earlier):
            run.finish()
            run = None
        if run is None:
            self.run = self._begun(args, config, earlier, step)
            return
        run.conclude(None)
        if step is not None:
            run.rewind(step)
        run.store_configuration(config)

    def _begun(self, args: Any, config: dict[str, Any], earlier: RunDirectory | None, step: int | None) -> Run:
        project = self._project or check_name(getattr(args, "project", None) or "huggingface", "project")
        name = self._run_name or getattr(args, "run_name", None)
        name = None if name is None else check_name(os.path.basename(os.path.abspath(name)), "run_name")
        directory = self._directory or args.output_dir
        return Run(
            self._selected,
            project=project,
            name=name,
            distinct=True,
            directory=directory,
            init_kwargs=self._init_kwargs,
            config=config,
            settings=self._settings,
            resumed=earlier or run_to_continue(self._settings, directory, project, name),
            step=step,
            exits_on_sigterm=True,
        )

    def _begin_trial(self, args: Any, state: Any, model: Any) -> None:
        if self._search is None:
            self._search = self._begun(args, self._config, None, None)
        elif self.run is not None:
            self.run.finish()
        name = state.trial_name or f"trial-{self._trials}"
        self._trials += 1
        self.run = self._search.child(name, self._all_config(args, model))

    def _all_config(self, args: Any, model: Any) -> dict[str, Any]:
        config = {**self._config, "args": args.to_dict()}
        if hasattr(getattr(model, "config", None), "to_dict"):
            config["model"] = model.config.to_dict()
        return config

    def _checkpoint_run(self, args: Any, state: Any) -> RunDirectory | None:
        """Return the run of the checkpoint that the training goes on from, or None."""
        noted = (state.stateful_callbacks or {}).get(_STATE)
        settings = self._settings
        if not state.global_step or not isinstance(noted, dict) or settings.resume == "never":
            return None
        mark = Mark.of(str(noted.get("run")), None) if settings.keeps_journal else None
        if self._log_checkpoints and isinstance(known := noted.get("checkpoints"), list):
            self._stored = self._stored or [
                *map(str, known),
                os.path.join(args.output_dir, f"checkpoint-{state.global_step}"),
            ]
        if mark is None or (self.run is not None and _is_of(self.run, mark.run)):
            return None if mark is None else mark.run
        return mark.run if is_free(mark.run, must=settings.resume == "must") else None

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the end of the training; the run stays open for `evaluate` and `predict`."""
        if self.run is not None:
            self._forget_deleted(args)
            self.run.conclude(FINISHED)
            self.run.flush()
            self.run.rest()

    def finish(self) -> None:
        """End the run now instead of at the interpreter's exit."""
        runs, self.run, self._search = (self.run, self._search), None, None
        for run in runs:
            if run is not None:
                run.finish()

    # -- values -------------------------------------------------------------------------------------------------------

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any) -> None:
        """Log the Trainer's values; a run begins without a training, too, as in `evaluate` alone."""
        if logs and state.is_world_process_zero:
            if self.run is None:
                self._begin(args, None, state, model)
            self.run.log(_renamed(logs), state.global_step)  # type: ignore[union-attr]

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **kwargs: Any) -> None:
        """Log the metrics of `predict`, which the Trainer only returns."""
        self.on_log(args, state, control, metrics, **kwargs)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Store the new checkpoint in the trackers, and delete those that are gone."""
        if self.run is None or not self._log_checkpoints:
            return
        self._forget_deleted(args)
        name = f"checkpoint-{state.global_step}"
        path = Path(args.output_dir, name)
        if not path.is_dir():  # a trial's, in a folder of its own
            path = max(Path(args.output_dir).glob(f"*/{name}"), key=os.path.getmtime, default=path)
        best = state.best_model_checkpoint is not None and Path(state.best_model_checkpoint).name == name
        values = {"monitor": args.metric_for_best_model, "score": state.best_metric if best else None, "best": best}
        try:
            self.run.log_checkpoint(name, path, state.global_step, values)
        except OSError as error:
            warn(f"the checkpoint {path} cannot be given to the trackers ({error.strerror or error}).")
        else:
            self._stored.append(os.fspath(path))

    def _forget_deleted(self, args: Any) -> None:
        for path in [one for one in self._stored if not os.path.isdir(one)]:
            self._stored.remove(path)
            if self.run is not None:
                self.run.delete_checkpoint(os.path.basename(path))


def _is_of(run: Run, directory: RunDirectory) -> bool:
    own = run.run_directory
    return own is not None and own.path.absolute() == directory.path.absolute()


def _renamed(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by the names of transformers' own callbacks: `eval_loss` becomes `eval/loss`."""
    values = {}
    for name, value in logs.items():
        kind, _, rest = name.partition("_")
        values[f"{kind}/{rest}" if rest and kind in ("eval", "test") else f"train/{name}"] = value
    return values
