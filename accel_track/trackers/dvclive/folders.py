"""The folder that a DVCLive run has to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path


def _folders(place: Path, run_name: str | None) -> Iterator[Path]:
    """Yield the folders that a run may have, in their order."""
    for number in count():
        end = f"_{number}" if number else ""
        yield place / f"dvclive{end}" if run_name is None else place / f"{run_name}{end}" / "dvclive"


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
