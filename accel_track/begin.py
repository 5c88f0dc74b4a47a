"""The front door for programs without torch: `init` begins a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from accel_track.errors import ResumeError
from accel_track.folders import expanded, is_address
from accel_track.noop import NoOp
from accel_track.options import Settings, takes_options
from accel_track.registry import LogWith, select
from accel_track.resume import NOTHING_FOUND, find_earlier
from accel_track.run import Run
from accel_track.state import process_index
from accel_track.values.plain import check_name

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from accel_track.journal.directory import RunDirectory
    from accel_track.options import Options


@takes_options
def init(
    project: str,
    log_with: LogWith = None,
    *,
    project_dir: str | os.PathLike[str] | None = None,
    config: Any = None,
    run_name: str | None = None,
    init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Unpack[Options],
) -> Run:
    """Begin a run in a program of any kind; neither torch nor Lightning is imported.

    In a `with` block, the block's end is the run's, and an exception that leaves it is how it ended. Without one, call
    `finish`; at the interpreter's exit it happens by itself. Off the main process (`RANK`, `SLURM_PROCID` and the like
    in the environment, or a `torch.distributed` group) what is returned accepts every call and does nothing. Each of
    `delivery` to `keep` is, when None, taken from a variable: `ACCEL_TRACK_DELIVERY`, ….

    Args:
        project: Name of the project (some backends call it experiment); must do as a folder name.
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend. None keeps the journal only, for `accel-track sync`.
        project_dir: Folder for the journal and for trackers that store locally. Default: the working directory.
        config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
        run_name: Name of the run in every backend. Where another run of the project has it, `-2`, `-3`, … is put behind
            it. Default: made from the run's id. With `resume`, a run of this name that did not finish goes on.
        init_kwargs: Constructor arguments by tracker name, e.g. `{"wandb": {"entity": "team"}}`.
        **options: `delivery` to `keep`, the same for all front doors; see
            [`Options`][accel_track.options.Options].

    Returns:
        The run, with `log`, `store_configuration`, `log_checkpoint`, `get_tracker`, `flush` and `finish`.

    Raises:
        ValueError: An unknown tracker, a name that cannot be used, or `all_ranks`, which needs a front door whose
            processes can agree on a run.
        TypeError: `config`, `log_with` or `init_kwargs` is of another form.
        MissingPackageError: A backend that is named is not installed; with `delivery="none"`, it need not be.
        NotConfiguredError: A backend that is named lacks its credentials.
        UnwritableDirectoryError: The folder cannot be written to.
        ResumeError: `resume="must"`, and there is no run to continue or another process is logging to it.
        Exception: A tracker could not be started; those that were are finished again.
    """
    settings = Settings.of(**options)
    if settings.all_ranks:
        message = "init: its processes cannot agree on one run; for all_ranks, use Accelerator or AccelTrackLogger."
        raise ValueError(message)
    project = check_name(project, "project")
    directory = expanded("." if project_dir is None else project_dir, "project_dir", or_address=True)
    selected = select(log_with, directory, missing=settings.missing)
    if process_index():
        return cast("Run", NoOp())
    return Run(
        selected,
        project=project,
        name=run_name,
        distinct=True,
        directory=directory,
        init_kwargs=init_kwargs,
        config=config,
        settings=settings,
        resumed=run_to_continue(settings, directory, project, run_name),
        exits_on_sigterm=True,
    )


def run_to_continue(
    settings: Settings, directory: str | os.PathLike[str] | None, project: str, name: str | None
) -> RunDirectory | None:
    """Return the run directory of the run that a plain program continues, or None.

    Raises:
        ResumeError: `resume="must"`, and there is no run to continue.
    """
    if settings.resume == "never" or not settings.keeps_journal:
        return None
    must = settings.resume == "must"
    earlier = find_earlier(
        None if is_address(directory) else directory, project, name, finished=must, mirror=settings.mirror
    )
    if earlier is None and must:
        raise ResumeError(NOTHING_FOUND)
    return earlier
