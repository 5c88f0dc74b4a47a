"""Folders as users give them, with `~`, variables, `file://`, relative, or elsewhere; and as they are told of them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from accel_track.texts import printable

ADDRESSES = ("aim",)
"""Schemes of servers that a tracker takes in place of a folder, where its class says `takes_address`."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]+):/")  # one slash is what a `Path` leaves
_OF_TRACKERS = ("dir", "logdir", "log_dir", "logging_dir", "repo")


def is_address(folder: Any) -> bool:
    """Return whether a folder is the address of a server, which a tracker may take in its place."""
    return isinstance(folder, str) and folder.startswith(tuple(f"{scheme}://" for scheme in ADDRESSES))


def expanded(folder: str | os.PathLike[str], argument: str, *, or_address: bool = False) -> str | os.PathLike[str]:
    """Return a folder with `~` and variables expanded, and without `file://`; any other as it is.

    Args:
        folder: A folder.
        argument: Name of the caller's argument, for error messages.
        or_address: Whether the address of a server is allowed, too.

    Raises:
        ValueError: The folder is on another file system, or a variable in its name is not set.
    """
    text = os.fsdecode(folder)
    url = _URL.match(text)
    if url is None or os.path.isabs(text):
        plain = os.path.expanduser(os.path.expandvars(text))
    elif url["scheme"].lower() == "file":
        plain = unquote(urlsplit(text).path)
    elif or_address and is_address(folder):
        return folder
    else:
        message = (
            f"`{argument}` must be a folder of this machine; got {text!r}. Give a local one and copy it afterwards, or "
            "mount that place. Addresses of servers belong in `init_kwargs`: {'mlflow': {'tracking_uri': …}}."
        )
        raise ValueError(message)
    if plain.startswith("$"):
        message = f"`{argument}`: the variable that {text!r} begins with is not set; set it, or give another folder."
        raise ValueError(message)
    return folder if plain == text else plain


def located(init_kwargs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return trackers' constructor arguments with folders made absolute, so that a later `os.chdir` moves none."""
    return {name: {key: _located(key, value) for key, value in kwargs.items()} for name, kwargs in init_kwargs.items()}


def _located(key: str, value: Any) -> Any:
    if key not in _OF_TRACKERS or not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        return value
    text = os.fsdecode(value)
    return value if _URL.match(text) else os.path.abspath(os.path.expanduser(os.path.expandvars(text)))


def shown_path(path: Path) -> str:
    """Return a path as people read it: relative where it is below the working directory."""
    text = os.path.relpath(path) if os.path.splitdrive(os.getcwd())[0] == path.drive else str(path)
    return str(path) if text.startswith("..") else text


def command_line(*words: str | os.PathLike[str]) -> str:
    """Return a command for people to copy into a shell: words quoted, paths as `shown_path` has them.

    What terminals would obey is taken out before the quoting, so that nothing comes out of its quotes.
    """
    texts = (shown_path(one) if isinstance(one, Path) else os.fspath(one) for one in words)
    return shlex.join(printable(text) for text in texts)


def cache_home() -> Path:
    """Return the user's folder of what this package can make again; it may be deleted at any time."""
    return Path(os.path.abspath(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")), "accel_track")
