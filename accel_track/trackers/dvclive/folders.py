"""The folder that a DVCLive run has to itself, and the lock of the repository around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import count, takewhile
from pathlib import Path

from accel_track.trackers.set_up import alone_at


def dvc_alone() -> AbstractContextManager[None]:
    """Return the lock under which DVC is set up in a Git repository and experiments are saved; none outside of one."""
    for folder in (here := Path.cwd(), *here.parents):
        git = folder / ".git"
        if git.is_file() and (text := git.read_text()).startswith("gitdir:"):  # a worktree or a submodule
            git = folder / text.removeprefix("gitdir:").strip()
        if git.is_dir():
            return alone_at(folder / ".dvc", git)
    return nullcontext()


def last_folder(place: Path, run_name: str | None) -> Path:
    """Return the last folder that is there, or the first one."""
    there = list(takewhile(Path.exists, _folders(place, run_name)))
    return there[-1] if there else next(_folders(place, run_name))


def claimed_folder(place: Path, run_name: str | None) -> Path:
    """Make the first folder that is not there, so that no other run takes it."""
    for folder in _folders(place, run_name):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


def places(folder: Path) -> dict[str, str]:
    """Return the arguments of `Live` for a folder."""
    # `dvc.yaml` is not in the folder itself: there, DVCLive adds its entries again each time that it writes the file.
    return {"dir": str(folder), "dvcyaml": str(folder.parent / "dvc.yaml")}


def _folders(place: Path, run_name: str | None) -> Iterator[Path]:
    """Yield the folders that a run may have, in their order."""
    for number in count():
        end = f"_{number}" if number else ""
        yield place / f"dvclive{end}" if run_name is None else place / f"{run_name}{end}" / "dvclive"
