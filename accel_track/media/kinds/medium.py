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
    """A value that says what it is, for `log`; the base of all kinds.

    What a tracker is given in its place is of the same class, with `path`, the file that holds it, `info` and the
    methods that read these. It is made in the call and does not change with what the user gave.

    Attributes:
        kind: Name of the kind, such as "image".
        path: The file; None for kinds without one, and before the medium is logged.
        info: What there is beside the file, as JSON values.
    """

    kind: ClassVar[str]
    is_native: ClassVar[bool] = False
    """Whether it holds an SDK's own object, which goes to the SDK as it is."""
    path: Path | None = None
    info: Mapping[str, Any]

    def content(self) -> Content:
        """Return what is stored of it, as it is now; called in `log`.

        Raises:
            TypeError: It was made of something else.
            ValueError: It was made of something that cannot be of this kind.
            OSError: Its file cannot be read.
        """
        raise NotImplementedError

    def kept(self) -> Content:
        """Return the same; of one that is stored already, what is stored of it."""
        if not self._is_stored():
            return self.content()
        return Content(self.info, "" if self.path is None else "".join(self.path.suffixes), path=self.path)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return the medium that is stored so."""
        medium = cls.__new__(cls)
        medium.info, medium.path = info, path
        return medium

    @property
    def caption(self) -> str:
        """What is written below it; "" for nothing."""
        return str(self.info.get("caption", ""))

    def data(self) -> bytes:
        """Return the bytes of its file, or of what it would be as a file.

        Raises:
            OSError: The file cannot be read.
        """
        return b"" if self.path is None else self.path.read_bytes()

    def __repr__(self) -> str:
        """Name the kind, the file and the caption."""
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
    """Return what is stored of a caption."""
    return {} if caption is None or caption == "" else {"caption": str(caption).encode(errors="replace").decode()}


def checked_suffix(path: str | os.PathLike[str], known: Sequence[str], what: str) -> str:
    """Return what a file's name ends in.

    Raises:
        ValueError: It is not among those known.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in known:
        message = f"{what} ends in {', '.join(known)}; got {os.fspath(path)!r}."
        raise ValueError(message)
    return suffix
