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

from accel_track.errors import warn
from accel_track.files import replace_file
from accel_track.media import Medium
from accel_track.media.sums import sha256
from accel_track.texts import json_bytes
from accel_track.trackers.files import artifact_files
from accel_track.trackers.names import hashed_name
from accel_track.values.plain import long_integers_as_text, storable

MEDIA, ARTIFACTS, INDEX = "media", "artifacts", "artifacts.json"

Place = tuple[Any, str, str]
"""Step, name and file of a medium."""

_NOT_IN_NAMES = r"[/\\:*?\"<>|\x00-\x1f\x7f\ud800-\udfff]|^\.+"
_NAME_LENGTH = 120


def described(medium: Medium, folder: Path, mode: int) -> tuple[dict[str, Any], bool]:
    """Return a line's entry for a medium, whose file is now in the folder `media`.

    Args:
        medium: The medium.
        folder: The folder of the lines.
        mode: The permissions of its file.

    Returns:
        The entry, and whether the file was not there, or was another one.

    Raises:
        OSError: The file cannot be read, or there is no room.
    """
    about: dict[str, Any] = {"_type": medium.kind}
    is_new = False
    if medium.path is not None:
        digest = sha256(medium.path)
        name = digest + "".join(medium.path.suffixes)
        file = f"{MEDIA}/{name}"
        if is_new := not _is_whole(folder / file, digest):
            _keep(medium.path, folder / file, mode)
        about |= {"file": file, "sha256": digest}
    return {**medium.info, **about}, is_new


def told_media(file: Path) -> dict[str, set[Place]]:
    """Return where the lines of a file tell of media, by the media's files; one of a list has two names."""
    told: dict[str, set[Place]] = {}
    with file.open("rb") as lines:
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # somebody else has written it
                whole = msgspec.json.decode(line, type=dict[str, Any])
                for name, value in whole.items():
                    for place, one in enumerate(value if isinstance(value, list) else [value]):
                        if isinstance(one, dict) and isinstance(path := one.get("file"), str):
                            own = ((whole.get("step"), known, path) for known in (name, f"{name}/{place}"))
                            told.setdefault(path, set()).update(own)
    return told


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
    known = known_in(folder / INDEX)
    sums = _sums(source)
    entry: dict[str, Any] = {**storable({"name": name, **about}), "sha256": storable(sums)}
    entry = msgspec.json.decode(json_bytes(long_integers_as_text(entry)))
    place = _folder_name(name)
    for number in itertools.count(2):
        if place not in known or known[place] == entry:
            break
        place = f"{_folder_name(name)}-{number}"
    target, new = folder / ARTIFACTS / place, folder / ARTIFACTS / f".{secrets.token_hex(8)}.new"
    with contextlib.suppress(OSError):
        if place in known and _sums(os.fspath(target)) == sums:
            return
    try:
        for file, part in artifact_files(source):
            copy = new / part
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if target.exists():  # a killed process has copied it, and not noted it; or somebody has changed it
            shutil.rmtree(target)
        os.replace(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    replace_file(folder / INDEX, msgspec.json.format(json_bytes({**known, place: entry}), indent=2) + b"\n", 0o666)


def known_in(file: Path) -> dict[str, Any]:
    """Return the dictionary in a file of JSON; one that holds none costs a warning, and is put aside."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        aside = file.with_name(f"{file.name}.unreadable")
        os.replace(file, aside)
        warn(f"jsonl: {file} cannot be read ({error}); it is kept as {aside.name}, and a new one begins.")
        return {}


def _folder_name(name: str) -> str:
    safe = re.sub(_NOT_IN_NAMES, "_", name)
    return name if safe == name and 0 < len(name.encode()) <= _NAME_LENGTH else hashed_name(safe, name, _NAME_LENGTH)


def _sums(source: str) -> dict[str, str]:
    return {part: sha256(file) for file, part in artifact_files(source)}


def _is_whole(path: Path, digest: str) -> bool:
    with contextlib.suppress(OSError):
        return sha256(path) == digest
    return False


def _keep(source: Path, target: Path, mode: int) -> None:
    """Link a file that does not change, or copy it, whole or not at all."""
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
