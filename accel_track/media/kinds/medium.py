"""The medium: a value that says what it is, and the base of all kinds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from accel_track.errors import DamagedMediumError
from accel_track.media.content import Content

if TYPE_CHECKING:
    from typing_extensions import Self


class Medium:
    """The base class of all kinds of media: values for `log` that say what they are.

    A tracker gets an object of the same class, with `path`, `info` and the methods that read them. That object is made
    in the call, and does not change when the user's object does.

    Attributes:
        kind: Name of the kind, such as "image".
        path: The medium's file; None for kinds without a file, and before the medium is logged.
        info: Facts beside the file, such as the caption, as JSON values by name.
    """

    kind: ClassVar[str]
    is_native: ClassVar[bool] = False
    """Whether the medium holds an SDK's own object, which goes to the SDK unchanged."""
    path: Path | None = None
    info: Mapping[str, Any]

    def content(self) -> Content:
        """Return the content to store, as it is now; called in `log`.

        Raises:
            TypeError: The medium was made from an object of the wrong type.
            ValueError: The medium was made from a value that its kind does not take.
            OSError: The medium's file cannot be read.
        """
        raise NotImplementedError

    def kept(self) -> Content:
        """Return the stored content, or `content()` of a medium that is not stored yet."""
        if not self._is_stored():
            return self.content()
        return Content(self.info, "" if self.path is None else "".join(self.path.suffixes), path=self.path)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return a stored medium.

        Args:
            info: Its facts beside the file.
            path: Its file, or None.
        """
        medium = cls.__new__(cls)
        medium.info, medium.path = info, path
        return medium

    @property
    def caption(self) -> str:
        """The text below the medium; "" without a caption."""
        return str(self.info.get("caption", ""))

    def data(self) -> bytes:
        """Return the bytes of the medium's file; a kind without a file returns the bytes that its file would have.

        Raises:
            OSError: The file cannot be read.
        """
        return b"" if self.path is None else self.path.read_bytes()

    def __repr__(self) -> str:
        """Return kind, file and caption in a line."""
        parts = [] if self.path is None else [self.path.name]
        return f"{type(self).__name__}({', '.join([*parts, *([repr(self.caption)] if self.caption else [])])})"

    def _is_stored(self) -> bool:
        return "_given" not in self.__dict__

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Tell a damaged file from one that cannot be read at the moment."""
        try:
            yield
        except Exception as error:
            if not self._is_stored() or (isinstance(error, OSError) and error.errno is not None):
                raise
            message = f"the file of the {self.kind} is damaged ({type(error).__name__}: {error})"
            raise DamagedMediumError(message) from error


def captioned(caption: Any) -> dict[str, Any]:
    """Return the facts to store of a caption."""
    text = "" if caption is None else str(caption).encode(errors="replace").decode()
    return {"caption": text} if text else {}


def checked_suffix(path: str | os.PathLike[str], known: Sequence[str], what: str) -> str:
    """Return the ending of a file's name.

    Raises:
        ValueError: The ending is not a known one.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in known:
        message = f"{what} ends in {', '.join(known)}; got {os.fspath(path)!r}."
        raise ValueError(message)
    return suffix
