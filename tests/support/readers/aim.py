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

from accel_track.testing import Bins, Readback, Seen, TrackerContract
from accel_track.trackers.aim.tracker import AimTracker
from tests.support.pictures import pixels

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


def values(sequence: Any) -> Iterator[Seen]:
    """Yield the objects of a sequence, each of a list by itself."""
    for step, (some, *_) in sequence.data.items():
        for one in some if isinstance(some, (list, tuple)) else [some]:
            yield Seen(_content(one), step, "" if isinstance(one, (aim.Text, aim.Distribution)) else _caption(one))


def _content(one: Any) -> Any:
    if isinstance(one, aim.Image):
        return pixels(bytes(one.storage["data"]))
    if isinstance(one, aim.Audio):
        return one.get().read()
    if isinstance(one, aim.Distribution):
        return Bins(one.weights.tolist(), one.ranges.tolist())
    return one.data


def _caption(one: Any) -> str:
    return str(one.storage["caption"]) if isinstance(one, (aim.Image, aim.Audio)) else ""


def artifacts(run: aim.Run) -> dict[str, dict[str, bytes]]:
    """Return the content of a run's artifacts: by the folder of media, else by the first folder, then by path."""
    found: dict[str, dict[str, bytes]] = {}
    for key, one in run.artifacts.items():
        with tempfile.TemporaryDirectory() as place:
            content = Path(one.download(place)).read_bytes()
        if key.startswith("media/"):
            folder, _, name = key.rpartition("/")
        else:
            folder, _, name = key.partition("/")
        found.setdefault(folder, {})[name] = content
    return found


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
            kinds = ("texts", "images", "audios", "distributions", "figures")
            sequences = run.collect_sequence_info(kinds, skip_last_value=True)
            for text in sequences["texts"]:
                stored.texts[text["name"]] = [one.what for one in values(run.get_text_sequence(text["name"], NONE))]
            for kind in kinds:
                for sequence in sequences.get(kind, []):
                    get = getattr(run, f"get_{kind.removesuffix('s')}_sequence")
                    stored.media[sequence["name"]] = list(values(get(sequence["name"], NONE)))
            for name, files in artifacts(run).items():
                parts = {key.rpartition("/")[2]: Seen(data) for key, data in files.items()}
                media = name.removeprefix("media/")
                stored.media[media] = list(parts.values()) if media != name else [Seen(files)]
        return stored
