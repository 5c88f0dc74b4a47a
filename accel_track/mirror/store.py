"""The store: objects by their names below one URL, reached through fsspec and the store's own package."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

from accel_track.errors import AccelTrackError, MissingPackageError
from accel_track.mirror.addresses import is_url
from accel_track.texts import clean
from accel_track.trackers.installing import install_command

_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gs")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "az")),
    **dict.fromkeys(("sftp", "ssh"), ("paramiko", "sftp")),
}
_RENAMES = ("file", "local", "sftp", "ssh")
"""Schemes of stores in which an object grows under its name while it is written, and is renamed in one step."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 1}}},
    "sftp": {"timeout": 30},
}

_shared: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
"""Connections by process and URL, for as long as a store uses them: the runs of a process share them."""

_sharing = threading.Lock()
if hasattr(os, "register_at_fork"):  # another thread may hold it
    os.register_at_fork(after_in_child=lambda: globals().update(_sharing=threading.Lock()))


_NEW = re.compile(r"/\.[0-9a-f]{16}\.new")
"""Name of an object that is being written, behind its folder."""


class StoreError(AccelTrackError, OSError):
    """A store cannot be reached, or refuses a call."""


class Store:
    """The objects below a URL.

    Args:
        url: Any URL that fsspec knows, such as `s3://bucket/prefix`, `gs://`, `az://`, `sftp://` or `file://`.

    Raises:
        MissingPackageError: The package that such URLs need is not installed.
        ValueError: It is not an URL, or fsspec does not know its scheme.
    """

    def __init__(self, url: str) -> None:
        """Look up the scheme; nothing is connected yet."""
        self.shown = clean(url)
        """The URL without credentials."""
        if not is_url(url):
            message = f"{self.shown!r} is no URL; write one such as s3://bucket/prefix."
            raise ValueError(message)
        scheme = url.partition("://")[0].lower()
        package, extra = _PACKAGES.get(scheme, ("fsspec", "mirror"))
        if missing := [one for one in ("fsspec", package) if importlib.util.find_spec(one) is None]:
            message = f"{self.shown} needs {missing[0]}; {install_command(f'accel-track[{extra}]')}"
            raise MissingPackageError(message)
        import fsspec

        try:
            fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            message = f"{self.shown}: {clean(error)}"
            raise MissingPackageError(message) from None
        except ValueError as error:
            message = f"{self.shown}: {clean(error)}."
            raise ValueError(message) from None
        self._url, self._scheme = url, scheme
        self._renames = scheme in _RENAMES
        self._connected: tuple[Any, str] | None = None

    def _connect(self) -> tuple[Any, str]:
        """Return fsspec's file system, and the path of the URL in it; some connect when they are made."""
        if self._connected is None:
            import fsspec

            options = _OPTIONS.get({"s3a": "s3", "local": "file"}.get(self._scheme, self._scheme), {})
            with _sharing:
                key = os.getpid(), self._url
                files = _shared.get(key)
                if files is None:
                    files, _ = fsspec.url_to_fs(
                        self._url, skip_instance_cache=True, use_listings_cache=False, **options
                    )
                    if hasattr(files, "retries"):
                        files.retries = 2  # whoever calls repeats, with longer pauses
                    _shared[key] = files
            self._connected = files, str(files._strip_protocol(self._url)).rstrip("/")  # noqa: SLF001 - as fsspec's own
        return self._connected

    @property
    def _files(self) -> Any:
        return self._connect()[0]

    def put(self, name: str, data: bytes) -> None:
        """Store an object; whoever reads it meanwhile gets the one before, or this.

        Raises:
            StoreError: It is not known to be there.
        """
        self.put_all({name: data})

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Store several objects, at once where the store allows that.

        Raises:
            StoreError: Not all are known to be there.
        """
        with self._told():
            if not self._renames:
                self._files.pipe({self._path(name): data for name, data in objects.items()})
                return
            for name, data in objects.items():
                path = self._path(name)
                new = f"{path.rpartition('/')[0]}/.{secrets.token_hex(8)}.new"
                self._made(new, data)
                self._files.mv(new, path)

    def put_new(self, name: str, data: bytes) -> bool:
        """Store an object unless there is one of that name; say whether it is stored.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told():
            try:
                self._made(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def put_over(self, name: str, data: bytes, mark: str | None) -> bool:
        """Replace an object if it is still the one of that mark; say whether it is replaced.

        Only S3 compares and replaces in one step. Elsewhere two that do so at once may both be told that they have.

        Raises:
            StoreError: The store cannot be reached.
        """
        if mark is None or type(self._files).__name__ != "S3FileSystem":
            if mark != self.mark(name):
                return False
            self.put(name, data)
            return True
        with self._told():
            try:
                self._files.pipe_file(self._path(name), data, IfMatch=mark)
            except OSError as error:
                if "pre-condition" in str(error) or "PreconditionFailed" in str(error):
                    return False
                raise
        return True

    def _made(self, path: str, data: bytes, **options: Any) -> None:
        try:
            self._files.pipe_file(path, data, **options)
        except FileNotFoundError:
            if not self._renames:
                raise
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path, data, **options)

    def get(self, name: str, limit: int) -> bytes | None:
        """Return an object, or its first bytes if it is longer than the limit, and one more; None if there is none.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told():
            try:
                found: bytes = self._files.cat_file(self._path(name), start=0, end=limit + 1)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
            except OSError as error:  # S3 has no first byte of what is empty
                if "range is not satisfiable" not in str(error):
                    raise
                return b""
        return found

    def mark(self, name: str) -> str | None:
        """Return a text that changes with an object; None if there is none, or the store has no such text.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told():
            try:
                info = self._files.info(self._path(name))
            except FileNotFoundError:
                return None
        found = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("created")
        return None if found is None else str(found)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of all objects below a folder, by their names in it.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told():
            try:
                found = self._files.find(self._path(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
            start = f"{self._path(folder)}/"
        return {
            name.removeprefix(start): int(info.get("size") or 0)
            for name, info in found.items()
            if name.startswith(start)
        }

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders in a folder.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told():
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = (one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory")
        return sorted(name for name in names if name)

    def delete(self, name: str) -> None:
        """Delete an object, if it is there.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        root = self._connect()[1]
        return f"{root}/{name}" if name else root

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of all stores into one kind, without what they hold of credentials."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - each store's package has its own
            text = _NEW.sub("", f"{type(error).__name__}: {error}")  # the same text each time is told once
            message = f"{self.shown}: {clean(self._without_secrets(text))[:500]}"
            raise StoreError(message) from None

    def _without_secrets(self, text: str) -> str:
        """Return an error's text without what the URL holds before the host, and behind a question mark."""
        parts = urlsplit(self._url)
        user, _, _ = parts.netloc.rpartition("@")
        for secret in filter(None, (user, *user.split(":")[1:], unquote(user), parts.query)):
            text = text.replace(secret, "***")
        return text
