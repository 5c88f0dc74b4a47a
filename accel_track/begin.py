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
    """Begin a run in a program of any kind, without importing torch or Lightning.

    A `with` block ends its run, and an exception that leaves the block is the reason of the end. Without a block, call
    `finish`; otherwise the run ends with the interpreter. Only the main process logs: on another rank (`RANK`,
    `SLURM_PROCID` and the like in the environment, or a `torch.distributed` group), the returned object accepts every
    call and does nothing.

    An option that is None, such as `delivery`, has the value of its variable, `ACCEL_TRACK_DELIVERY`, or its default.

    Args:
        project: Name of the project, which some backends call experiment. The name must be usable as a folder name.
        log_with: A tracker's name, a `LoggerType`, a tracker instance, or a list of these; "all" stands for every
            installed backend. None keeps the journal only, for a later `accel-track sync`.
        project_dir: Folder for the journal and for trackers that store locally. Default: the working directory.
        config: Hyperparameters: a dictionary, dataclass, namespace or OmegaConf node, possibly nested.
        run_name: Name of the run in every backend. If another run of the project has this name, the new run's name
            gets the suffix `-2`, `-3`, …. With `resume`, an unfinished run of this name is continued. Default: a name
            made from the run's id.
        init_kwargs: Constructor arguments by tracker name, such as `{"wandb": {"entity": "team"}}`.
        **options: The options of all front doors, such as `delivery`; see [`Options`][accel_track.options.Options].

    Returns:
        The run, with `log`, the calls for media such as `log_image`, `get_tracker`, `flush` and `finish`.

    Raises:
        ValueError: A tracker is unknown, a name is unusable, or `all_ranks` is set, for which the processes would have
            to agree on a run.
        TypeError: `config`, `log_with` or `init_kwargs` has the wrong type.
        MissingPackageError: The package of a named backend is not installed; `delivery="none"` does not need the
            package.
        NotConfiguredError: A named backend lacks its credentials.
        UnwritableDirectoryError: `project_dir` cannot be created or written to.
        ResumeError: With `resume="must"`, there is no run to continue, or another process is logging to that run.
        Exception: A tracker failed to start; the trackers that had started are finished again.
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
    """Return the run directory of the run that a plain program continues; None for a new run.

    Raises:
        ResumeError: With `resume="must"`, there is no run to continue.
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
