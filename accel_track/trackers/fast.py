"""Fast paths: the one gate to private parts of SDKs, closed for a run by the first surprise."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import reduce
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Generic, TypeVar

from packaging.specifiers import SpecifierSet

from accel_track.errors import HalfStoredError, warn

ResultT = TypeVar("ResultT")
FastT = TypeVar("FastT", bound="FastPath")


class UnfitError(Exception):
    """A private part of an SDK is there and has another shape than the one that a fast path knows."""


class FastPath:
    """A way into one SDK that its public calls do not offer, built on private parts of it.

    A subclass names everything private that it touches, so that all of it is looked at before it is used, and splits
    its work: `prepare` looks everything up and changes nothing, `store` hands it over.

    Args:
        native: The SDK's own object, e.g. a `wandb.Run`.
    """

    distribution: ClassVar[str]
    """Name of the SDK on the package index."""

    tested: ClassVar[str]
    """The versions with which the tests pass, as a version specifier (PEP 440), e.g. "==0.31.*"."""

    parts: ClassVar[tuple[str, ...]] = ()
    """What is imported, as "module:name" or "module:Class.name"."""

    attributes: ClassVar[tuple[str, ...]] = ()
    """What is read of the native object, as dotted paths, e.g. "_interface._client"."""

    of_module: ClassVar[bool] = False
    """Whether the native object is the SDK's module itself, so that the path is open before there is a run."""

    surprises: ClassVar[tuple[type[Exception], ...]] = (
        AttributeError,
        ImportError,
        LookupError,
        NotImplementedError,
        TypeError,
        UnfitError,
    )
    """Errors that say that the SDK is not as this code knows it; a subclass adds those of a changed schema."""

    def __init__(self, native: Any) -> None:
        """Look at every attribute that will be used; a subclass looks at its parts' shapes, too, and keeps them.

        Raises:
            UnfitError: A part has another shape.
            Exception: One of `surprises`.
        """
        self.native = native
        self.look()

    def look(self) -> None:
        """Look at every attribute; a path whose `store` reads them again does so in `prepare`."""
        for path in self.attributes:
            reduce(getattr, path.split("."), self.native)

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Whether a native object is of the kind that this path is for, such as a local run and not a remote one."""
        return True

    @classmethod
    def untested(cls) -> str | None:
        """Return which version is installed where that is none of the tested ones, else None."""
        try:
            installed = version(cls.distribution)
        except PackageNotFoundError:
            return f"{cls.distribution} is not installed"
        if SpecifierSet(cls.tested).contains(installed, prereleases=True):
            return None
        return f"{cls.distribution} {installed} is not among the versions it was tested with ({cls.tested})"

    @classmethod
    def missing(cls) -> str | None:
        """Return which of `parts` cannot be imported, else None; imports the SDK."""
        for part in cls.parts:
            module, _, path = part.partition(":")
            try:
                reduce(getattr, path.split("."), importlib.import_module(module))
            except (AttributeError, ImportError) as error:
                return f"{part} is missing: {error}"
        return None

    def prepare(self, *batch: Any) -> Any:
        """Return all that `store` needs for a batch, having changed nothing; None where it is to go the public way."""
        return batch

    def store(self, ready: Any) -> None:
        """Hand over what `prepare` returned."""
        raise NotImplementedError


class Gate(Generic[FastT]):
    """One tracker's fast path, open while the SDK is as the path knows it.

    Args:
        tracker: Name of the tracker, for warnings.
        path: The fast path.
    """

    def __init__(self, tracker: str, path: type[FastT]) -> None:
        """Stay closed until `open`."""
        self.tracker, self._path = tracker, path
        self.fast: FastT | None = None
        """The path, while it is open."""

        self.tried = False
        """Whether it was to be opened for the native object that there is."""

    def open(self, native: Any) -> None:
        """Open for a new native object, if the SDK's version was tested, all parts are there and the path applies."""
        self.fast, self.tried = None, True
        try:
            if self._path.untested() or not self._path.applies(native):
                return
            if (missing := self._path.missing()) is not None:
                raise UnfitError(missing)
            self.fast = self._path(native)
        except self._path.surprises as error:
            self._shut(error)

    def close(self) -> None:
        """Forget the native object, which is over."""
        self.fast, self.tried = None, False

    def send(self, *batch: Any, repeatable: bool = False) -> bool:
        """Store a batch, and say whether that is done; if not, the public call is to do it.

        Args:
            *batch: What `prepare` takes.
            repeatable: Whether storing again what is stored already changes nothing.

        Raises:
            HalfStoredError: The SDK surprised where a part of a batch that is not repeatable may be stored already.
            Exception: The backend's own error.
        """
        ready = self.use(lambda fast: fast.prepare(*batch))
        if ready is None or self.fast is None:
            return False
        try:
            self.fast.store(ready)
        except self._path.surprises as error:
            self._shut(error)
            if repeatable:
                return False
            message = (
                f"{self.tracker}: {self._path.distribution} is not as accel_track knows it "
                f"({type(error).__name__}: {error}), and a part of what was being stored may be stored already; "
                f"deliver the rest with `accel-track sync`, and tell accel_track's developers."
            )
            raise HalfStoredError(message) from error
        return True

    def use(self, call: Callable[[FastT], ResultT]) -> ResultT | None:
        """Return what a call with the path returns; None, once the path is closed, or where the SDK surprises it.

        For what stores no records.
        """
        if self.fast is None:
            return None
        try:
            return call(self.fast)
        except self._path.surprises as error:
            self._shut(error)
            return None

    def _shut(self, error: Exception) -> None:
        self.fast = None
        warn(
            f"{self.tracker}: {self._path.distribution} is not as accel_track knows it ({type(error).__name__}: "
            f"{error}); the run goes on with its public calls, which take longer. See `accel-track doctor`."
        )
