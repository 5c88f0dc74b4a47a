"""Deliver a run to Trackio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accel_track.trackers.base import on_main_process
from accel_track.trackers.sdk import SDKTracker
from accel_track.values import is_number, leaves, storable

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

# orjson, which Trackio writes rows with, takes integers of 64 bits.
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1


class TrackioTracker(SDKTracker):
    """One `trackio.Run`.

    Local data is in Trackio's own folder, `TRACKIO_DIR` if set: Trackio settles it when it is imported, so the logging
    directory has no say. `embed` is False unless given: no dashboard starts by itself in a notebook. Trackio stores the
    names `project`, `run`, `timestamp`, `step`, `time`, `metrics`, and those that begin with "__", behind another "__".
    Starting a run finishes an earlier one of the same thread; a tracker still logs to the earlier one, but slower.
    With an access token for Hugging Face and no network, `start` waits for the Hub unless `HF_HUB_OFFLINE=1` is set.

    Args:
        run_name: Name of the project.
        **kwargs: Passed to `trackio.init`.
    """

    name = "trackio"
    requires_logging_directory = False
    main_process_only = False
    sdk = "trackio"
    install = "trackio>=0.43"

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = kwargs
        self._config_pending = False

    @classmethod
    def for_run(
        cls,
        project: str,
        run_name: str | None,
        directory: str | os.PathLike[str] | None,
        init_kwargs: dict[str, Any],
    ) -> Self:
        """Leave the place of the data to Trackio."""
        derived = {"run_name": project} if run_name is None else {"run_name": project, "name": run_name}
        return cls(**{**derived, **init_kwargs})

    @on_main_process
    def start(self) -> None:
        """Open the run; a resumed local one has the hyperparameters stored before, which Trackio itself would erase."""
        if self.started:
            return
        trackio = self.import_sdk()
        run = trackio.init(**{"project": self.run_name, "embed": False, **self.init_kwargs})
        try:
            if self.init_kwargs.get("resume", "never") != "never" and run.url is None:
                run.config.update({**_stored_config(trackio, run), **run.config})
        except BaseException:
            run.finish()
            raise
        self._config_pending = False
        self.native = run

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config, which goes out with the next row or, if there is none, when the run ends."""
        for key, value in storable(values).items():
            if key.startswith("_"):
                self.drop(key, value, 'Trackio keeps hyperparameters whose names begin with "_" for itself')
            else:
                self.tracker.config[key] = value
        self._config_pending = True

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Add one row of numbers, texts and Trackio's own objects (`trackio.Image`, `trackio.Table`, …) and figures."""
        run = self.tracker
        row: dict[str, Any] = {}
        for key, value in leaves(values):
            # Trackio would leave the value out and store the row without it, or an empty one.
            if _takes(value):
                row[key] = int(value) if isinstance(value, bool) else value
            else:
                self.drop(key, value)
        if row:
            if self._config_pending:
                self._renew_config()
            run.log(row, step=step, **kwargs)

    def _renew_config(self) -> None:
        """Have the next row carry the config: Trackio sends it with a run's first row and never again."""
        run = self.tracker
        if run._config_logged:  # noqa: SLF001
            self._write()  # of the rows written together only the first one's config counts
            run._config_logged = False  # noqa: SLF001
        self._config_pending = False

    def _write(self) -> None:
        run = self.tracker
        if run.url is None:  # local; a server gets its rows from a thread that nothing can hurry
            with run._client_lock:  # noqa: SLF001 - the writing thread holds it while it writes
                run._flush_queues_inline()  # noqa: SLF001

    @on_main_process
    def flush(self) -> None:
        """Write local rows now instead of within half a second."""
        if self._config_pending:
            self._renew_config()
            # A row without values at the last step carries it.
            self.tracker.log({}, step=max(self.tracker._next_step - 1, 0))  # noqa: SLF001
        self._write()

    def identity(self) -> dict[str, Any]:
        """Return the run's name, by which Trackio finds it again."""
        return {} if self.native is None else {"name": self.native.name, "resume": "allow"}

    @on_main_process
    def finish(self) -> None:
        """End the run, writing or sending what is left."""
        if self.native is not None:
            try:
                self.flush()
            finally:
                run, self.native = self.native, None
                run.finish()


def _stored_config(trackio: Any, run: Any) -> dict[str, Any]:
    """Return the hyperparameters of a local run that is resumed."""
    try:
        runs = list(trackio.Api().runs(run.project))
    except ValueError:  # the project is new
        return {}
    return next((earlier.config or {} for earlier in runs if earlier.id == run.id), {})


def _takes(value: Any) -> bool:
    """Whether Trackio stores a value as it is meant: it leaves out, with a warning at most, what it cannot write."""
    if isinstance(value, int):
        return _SMALLEST <= value <= _GREATEST
    if is_number(value) or isinstance(value, str):
        return True
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_takes(item) for item in value)
    packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    return not packages.isdisjoint(("trackio", "matplotlib", "plotly"))
