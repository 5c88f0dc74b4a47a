"""Aim's repository, read with Aim's own reader."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aim
from aim.sdk.index_manager import RepoIndexManager
from aim.storage.context import Context

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.aim.tracker import AimTracker

NONE = Context({})


@functools.cache
def empty_repository() -> Path:
    """Create a repository once: Aim runs its database migrations in a subprocess, which takes more than a second."""
    folder = Path(tempfile.mkdtemp(prefix="accel_track-aim-"))
    aim.Repo.from_path(str(folder), init=True)
    return folder


def prepare(folder: Path) -> None:
    """Put an empty repository into `folder`, unless there is one."""
    if not (folder / ".aim").exists():
        shutil.copytree(empty_repository() / ".aim", folder / ".aim")


@contextmanager
def runs(folder: Path) -> Iterator[list[aim.Run]]:
    """Index the repository and open all its runs."""
    repository = aim.Repo.from_path(str(folder))
    manager = RepoIndexManager(repository)
    for place in (folder / ".aim" / "meta" / "chunks").iterdir():  # `list_all_runs` is up to half a second old
        manager.index(place.name)
    repository.container_pool.clear()
    yield list(repository.iter_runs())


class AimContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = AimTracker

    def make(self, folder: Path, **kwargs: Any) -> AimTracker:
        prepare(folder)
        return AimTracker("contract", folder, **{"system_tracking_interval": None, **kwargs})

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        prepare(folder)
        return {"system_tracking_interval": None}

    def read(self, folder: Path) -> Readback:
        with runs(folder) as found:
            (run,) = found
            stored = Readback(project=run.experiment, run_name=run.name, config=run.get("hparams", {}))
            for metric in run.metrics():
                table = metric.dataframe()
                steps = [int(step) for step in table["step"]]
                stored.metrics[metric.name] = list(zip(steps, table["value"].tolist(), strict=True))
                stored.times[metric.name] = [moment.timestamp() for moment in table["time"]]
            sequences = run.collect_sequence_info(("texts", "images"), skip_last_value=True)
            for text in sequences["texts"]:
                values = run.get_text_sequence(text["name"], NONE).values
                stored.texts[text["name"]] = [one.data for one in values.values_list()]
            for image in sequences["images"]:
                values = run.get_image_sequence(image["name"], NONE).values
                pictures = [one for several in values.values_list() for one in several]
                stored.images[image["name"]] = [(one.height, one.width) for one in pictures]
        return stored
