"""The tracker for Weights & Biases."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from accel_track.media import without_single_channel
from accel_track.records import Metrics
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import Gate
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.names import hashed_name, short_id
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.wandb import global_run as _wandb_global
from accel_track.trackers.wandb.axis import Axis
from accel_track.trackers.wandb.fast import Row, Rows, check_arguments
from accel_track.trackers.wandb.settings import chooses_id, find_settings, netrc_key
from accel_track.values.plain import is_number, leaves, storable

if TYPE_CHECKING:
    from typing_extensions import Self

_NAME_LENGTH = 128  # of artifacts and aliases

# Names that wandb sets itself or leaves out silently.
_TAKEN = frozenset(("", "_step", "_runtime"))


_FLOAT = frozenset((float,))

_REFUSED = re.compile(r"returned error 4(?!08|29)\d\d")


class WandBTracker(SDKTracker):
    """One `wandb.Run` of its own (`reinit="create_new"`).

    It is wandb's global run, which `wandb.run`, `wandb.log`, `wandb.watch`, … refer to, unless the program, or an
    earlier tracker that goes on, has one.

    The step is the field `trainer/global_step` of each row and the x-axis of all charts. It is not wandb's own `_step`,
    which counts rows: wandb loses every value whose `step=` is lower than an earlier one, as evaluation and resuming
    produce them. Here each call adds one row and none is lost. A row logged without a step has none, and names that
    begin without one have wandb's `_step` as x-axis; rows of your own `run.log` get the last step from wandb.
    A row has the time of the call that logged it; rows of numbers and
    texts that a worker delivers reach wandb's service together. Your own `define_metric` for a name or a prefix
    goes before the tracker's.

    The status is the exit code: 0, 1 for failed, 130 for interrupted, 143 for preempted, which is marked as preempting,
    too. Rewinding keeps the rows there are: what is logged again follows them, with the same steps. Checkpoints are the
    versions of one artifact, `model-<run id>`, each with its own name as an alias, and "best" or "last" where it is
    that. wandb copies them, offline into its staging folder (below WANDB_DATA_DIR) until `wandb sync`; versions of
    checkpoints that the program deletes stay.

    Args:
        run_name: Name of the project.
        **kwargs: Passed to `wandb.init`.
    """

    name = "wandb"
    requires_logging_directory = False
    main_process_only = False
    sdk = "wandb"
    install = "wandb>=0.31"
    keeps_status = True
    batch_size = 1000
    wraps_terminal = True
    durable_flush = False  # the SDK keeps rows in memory, and has no flush
    fast_paths = (Rows,)

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = kwargs
        self._gate = Gate(self.name, Rows)
        self._planned: dict[str, Any] = {}

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Keep wandb's files in `<directory>/wandb` unless `WANDB_DIR` says otherwise."""
        derived: dict[str, Any] = {"run_name": re.sub("[#?%:]", "-", project)[:128]}  # what wandb refuses in a project
        if run_name is not None:
            derived["name"] = run_name
        if directory is not None and not os.environ.get("WANDB_DIR"):
            derived["dir"] = os.fspath(directory)
        return cls(**{**derived, **init_kwargs})

    @classmethod
    def not_configured(cls, init_kwargs: Mapping[str, Any]) -> str | None:
        """Look for an offline mode and for credentials in every place where wandb does, without importing it."""
        settings = find_settings(init_kwargs)
        if settings.get("mode") in ("offline", "dryrun", "disabled"):
            return None
        if settings.get("api_key") or settings.get("identity_token_file") or netrc_key(settings.get("base_url")):
            return None
        return "no credentials; set WANDB_API_KEY (or run `wandb login`), or WANDB_MODE=offline to log locally."

    @on_main_process
    def start(self) -> None:
        """Open the run.

        Raises:
            NotConfiguredError: There are neither credentials nor an offline setting.
        """
        if self.started:
            return
        wandb = self.import_sdk()
        self.check_configured()
        # wandb reads its variables once per process; the mode found now is the one that counts.
        mode = find_settings(self.init_kwargs).get("mode")
        derived = {"project": self.run_name, "reinit": "create_new", "mode": mode, **self._planned}
        self.native = wandb.init(**{**derived, **self.init_kwargs})
        self._planned = {}
        self._axis = Axis(self.native)
        self._gate.open(self.native)
        _wandb_global.opened(wandb, self.native)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config; in offline mode too it is in the run's file at once."""
        self.tracker.config.update(storable(values), allow_val_change=True)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Add one row: numbers, texts, and whatever else `Run.log` takes; `kwargs` go to it (e.g. `commit`)."""
        plain, rich, refused = _sorted(values)
        self._axis.learn(step, (*plain, *rich))
        axis = self._axis.fields(step, self.record_time)
        if rich:
            self._log_rich(axis, plain, rich, kwargs)
        elif plain:
            self.tracker.log({**axis, **plain}, **kwargs)
        for one in refused:
            self.drop(*one)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Add a row for each call; rows of numbers and texts that follow each other reach wandb's service together."""
        work = [(record, *_sorted(record.values)) for record in self.taken.left(records)]
        for record, *_ in work:  # what one can be refused for is found here, before any is logged
            if kwargs := record.kwargs.get(self.name):
                check_arguments(self.tracker, kwargs)
        for alone, group in groupby(work, lambda one: bool(one[2] or one[0].kwargs.get(self.name))):
            if alone:
                for record, *_ in group:
                    super().log_batch([record])
                    self.taken.add(record)
            else:
                self._log_together(list(group))
        self.taken.settle(records)

    def _log_together(self, group: Sequence[tuple[Metrics, Row, Row, list[tuple[str, Any]]]]) -> None:
        for record, plain, *_ in group:
            self._axis.learn(record.step, plain)
        rows = [(one, {**self._axis.fields(one.step, one.time), **plain}) for one, plain, *_ in group if plain]
        if not self._gate.send(rows, self.taken.add):
            for record, row in rows:
                self.tracker.log(row)
                self.taken.add(record)
        for _, _, _, refused in group:
            for one in refused:
                self.drop(*one)

    def _log_rich(
        self, axis: dict[str, Any], plain: dict[str, Any], rich: dict[str, Any], kwargs: dict[str, Any]
    ) -> None:
        """Log everything in one row or, if wandb cannot convert a value, the good ones in rows of their own."""
        run = self.tracker
        try:
            run.log({**axis, **plain, **rich}, **kwargs)
        except Exception as problem:  # converting an object may raise anything; no part of the row is kept then
            if self.is_transient(problem):
                raise
            if plain:
                run.log({**axis, **plain}, **kwargs)
            for key, value in rich.items():
                try:
                    run.log({**axis, key: value}, **kwargs)
                except Exception as error:  # noqa: PERF203 - one bad value must not lose the next
                    if self.is_transient(error):
                        raise
                    self.drop(key, value, str(error))

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images, all of one name together.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or
                `wandb.Image` objects.
            step: Training step.
            **kwargs: Passed to `Run.log`.
        """
        image = self.import_sdk().Image
        from PIL.Image import fromarray  # wandb refuses arrays, but not PIL images, that are one pixel high or wide

        def wrapped(picture: Any) -> Any:
            return picture if isinstance(picture, image) else image(fromarray(without_single_channel(picture)))

        wrapped_values = {key: [wrapped(one) for one in found] for key, found in self.images_of(values, keep=image)}
        self.log(wrapped_values, step=step, **kwargs)

    @on_main_process
    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a table as a `wandb.Table`.

        Args:
            table_name: Name of the table.
            columns: Names of the columns.
            data: Rows, each as long as `columns`.
            dataframe: A pandas data frame in place of `columns` and `data`.
            step: Training step.
            **kwargs: Passed to `Run.log`.
        """
        table = self.import_sdk().Table(columns=columns, data=data, dataframe=dataframe)
        self.log({table_name: table}, step=step, **kwargs)

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Add a version to the run's artifact of type "model"; `values` are its metadata."""
        run = self.tracker
        artifact = self.import_sdk().Artifact(
            f"model-{run.id}"[:_NAME_LENGTH], type="model", metadata={**lasting(values), "name": name, "step": step}
        )
        for file, stored_name in checkpoint_files(name, path):
            artifact.add_file(file, name=stored_name)
        own = re.sub("[/:]", "-", name)[:_NAME_LENGTH]
        run.log_artifact(artifact, aliases=[own, *(alias for alias in ("best", "last") if values.get(alias))])

    def is_transient(self, error: BaseException) -> bool:
        """Say so also of wandb's `CommError`, unless it is about the key or holds another answer of the server's."""
        names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__.startswith("wandb.")]
        if "CommError" in names and "AuthenticationError" not in names:
            return _REFUSED.search(str(error)) is None
        return super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's id; offline, another process adds a folder of the same id."""
        return {} if self.native is None else {"id": self.native.id, "resume": "allow"}

    def planned_identity(self) -> dict[str, Any]:
        """Choose the run's id, unless it is chosen elsewhere."""
        if chooses_id(self.init_kwargs):
            return {}
        self._planned = {"id": short_id()}
        return {**self._planned, "resume": "allow"}

    def page(self) -> str | None:
        """Page of the run; None offline."""
        return None if self.native is None or self.native.offline else self.native.url

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Put the runs of all ranks into one group."""
        return {"group": group}

    @on_main_process
    def finish(self) -> None:
        """End the run with the exit code of its outcome; online, this waits for the upload."""
        if self.native is not None:
            run, self.native = self.native, None
            self._gate.close()
            if "torch" in sys.modules:
                run.unwatch()  # its hooks would fail, or log to another run
            try:
                if self.outcome.status == "preempted":
                    run.mark_preempting()
                run.finish(exit_code=self.outcome.exit_code)
            finally:
                _wandb_global.finished(self.import_sdk(), run)


def _sorted(values: dict[str, Any]) -> tuple[Row, Row, list[tuple[str, Any]]]:
    """Return numbers and texts, what else wandb may take, and what it does not take."""
    if _FLOAT.issuperset(map(type, values.values())) and _TAKEN.isdisjoint(values):
        return values, {}, []
    plain: Row = {}
    rich: Row = {}
    refused: list[tuple[str, Any]] = []
    for key, value in leaves(values):
        name = hashed_name(f"user{key}", key, 100) if key in _TAKEN else key
        if is_number(value) or isinstance(value, str):
            plain[name] = int(value) if isinstance(value, bool) else value
        elif value is None or isinstance(value, (Mapping, int)):
            # wandb leaves an empty dictionary out silently, and stores an integer that no float can hold as infinite
            refused.append((key, value))
        else:
            rich[name] = value
    return plain, rich, refused
