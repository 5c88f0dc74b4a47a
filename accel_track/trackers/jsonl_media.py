"""The media and artifacts beside a file of JSON lines: files that its lines, or `artifacts.json`, name."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from accel_track.files import replace_file
from accel_track.media import Medium
from accel_track.media.sums import sha256
from accel_track.texts import json_bytes
from accel_track.trackers.files import artifact_files
from accel_track.trackers.names import hashed_name
from accel_track.values.plain import long_integers_as_text, storable

MEDIA, ARTIFACTS, INDEX = "media", "artifacts", "artifacts.json"
_NOT_IN_NAMES = r"[/\\:*?\"<>|\x00-\x1f\x7f\ud800-\udfff]|^\.+"
_NAME_LENGTH = 120


def described(medium: Medium, folder: Path, mode: int) -> dict[str, Any]:
    """Return a line's entry for a medium, whose file is now in the folder `media`.

    Args:
        medium: The medium.
        folder: The folder of the lines.
        mode: The permissions of its file.

    Raises:
        OSError: The file cannot be read, or there is no room.
    """
    about: dict[str, Any] = {"_type": medium.kind}
    if medium.path is not None:
        digest = sha256(medium.path)
        name = digest + "".join(medium.path.suffixes)
        _keep(medium.path, folder / MEDIA / name, mode)
        about |= {"file": f"{MEDIA}/{name}", "sha256": digest}
    return {**medium.info, **about}


def keep_artifact(folder: Path, source: str, name: str, about: Mapping[str, Any]) -> None:
    """Copy a file, or a folder's files, to a folder of its own below `artifacts`, and note it in `artifacts.json`.

    Nothing is replaced: another artifact of a name gets a folder with a number. What is there already, with the same
    description, stays as it is.

    Args:
        folder: The folder of the lines.
        source: The file or folder.
        name: Name of the artifact.
        about: What is known about it.

    Raises:
        OSError: The files cannot be read, or there is no room.
    """
    known = index(folder)
    sums = {part: sha256(file) for file, part in artifact_files(source)}
    entry: dict[str, Any] = {**storable({"name": name, **about}), "sha256": storable(sums)}
    entry = msgspec.json.decode(json_bytes(long_integers_as_text(entry)))
    place = _folder_name(name)
    for number in itertools.count(2):
        if known.get(place) == entry:
            return
        if place not in known:
            break
        place = f"{_folder_name(name)}-{number}"
    target, new = folder / ARTIFACTS / place, folder / ARTIFACTS / f".{secrets.token_hex(8)}.new"
    try:
        for file, part in artifact_files(source):
            copy = new / part
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if target.exists():  # a killed process has copied it, and not noted it
            shutil.rmtree(target)
        os.replace(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    replace_file(folder / INDEX, msgspec.json.format(json_bytes({**known, place: entry}), indent=2) + b"\n", 0o666)


def index(folder: Path) -> dict[str, Any]:
    """Return the facts about artifacts, by their folders' names."""
    with contextlib.suppress(FileNotFoundError):
        return msgspec.json.decode((folder / INDEX).read_bytes(), type=dict[str, Any])
    return {}


def _folder_name(name: str) -> str:
    safe = re.sub(_NOT_IN_NAMES, "_", name)
    return name if safe == name and 0 < len(name.encode()) <= _NAME_LENGTH else hashed_name(safe, name, _NAME_LENGTH)


def _keep(source: Path, target: Path, mode: int) -> None:
    """Link a file that does not change, or copy it, whole or not at all."""
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    new = target.with_name(f".{secrets.token_hex(8)}.new")
    try:
        try:
            os.link(source, new)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, new)
        os.chmod(new, mode)
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
