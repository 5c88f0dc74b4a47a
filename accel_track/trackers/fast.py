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
    """A private part of an SDK has another shape than the one that a fast path knows."""


class FastPath:
    """A way into an SDK, through private parts of it, that its public calls do not offer.

    A subclass names every private part that it touches, so that all of them are checked before they are used. It splits
    its work in two: `prepare` looks everything up and changes nothing, `store` hands the batch over.

    Args:
        native: The SDK's own object, such as a `wandb.Run`.
    """

    distribution: ClassVar[str]
    """Name of the SDK on the package index."""

    tested: ClassVar[str]
    """The versions with which the tests pass, as a version specifier of PEP 440, such as "==0.31.*"."""

    parts: ClassVar[tuple[str, ...]] = ()
    """The private names that the path imports, as "module:name" or "module:Class.name"."""

    attributes: ClassVar[tuple[str, ...]] = ()
    """The private attributes of the native object that the path reads, as dotted paths: "_interface._client"."""

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
    """The errors that mean that the SDK is not as this code knows it; a subclass adds those of a changed schema."""

    def __init__(self, native: Any) -> None:
        """Check every attribute that will be used; a subclass also checks the shapes of its parts, and keeps them.

        Raises:
            UnfitError: A part has another shape.
            Exception: One of `surprises`.
        """
        self.native = native
        self.look()

    def look(self) -> None:
        """Check that the native object has all `attributes`; a path whose `store` reads them does so in `prepare`, too.

        Raises:
            AttributeError: An attribute is missing.
        """
        for path in self.attributes:
            reduce(getattr, path.split("."), self.native)

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Return whether the path is for a native object, such as a local run and not a remote one.

        Args:
            native: The native object.
        """
        return True

    @classmethod
    def untested(cls) -> str | None:
        """Return a sentence that names the installed version if it is not a tested one; None if it is."""
        try:
            installed = version(cls.distribution)
        except PackageNotFoundError:
            return f"{cls.distribution} is not installed"
        if SpecifierSet(cls.tested).contains(installed, prereleases=True):
            return None
        return f"{cls.distribution} {installed} is not among the versions it was tested with ({cls.tested})"

    @classmethod
    def missing(cls) -> str | None:
        """Import `parts`, and return a sentence about the first that is missing; None if all are there."""
        for part in cls.parts:
            module, _, path = part.partition(":")
            try:
                reduce(getattr, path.split("."), importlib.import_module(module))
            except (AttributeError, ImportError) as error:
                return f"{part} is missing: {error}"
        return None

    def prepare(self, *batch: Any) -> Any:
        """Return everything that `store` needs for a batch, without any change; None to store it by public calls.

        Args:
            *batch: The arguments of `Gate.send`.
        """
        return batch

    def store(self, ready: Any) -> None:
        """Hand a prepared batch over to the SDK.

        Args:
            ready: The return value of `prepare`.
        """
        raise NotImplementedError


class Gate(Generic[FastT]):
    """The gate of one tracker's fast path, which is open while the SDK is as the path knows it.

    Args:
        tracker: Name of the tracker, for warnings.
        path: The fast path.
    """

    def __init__(self, tracker: str, path: type[FastT]) -> None:
        """Stay closed until `open`."""
        self.tracker, self._path = tracker, path
        self.fast: FastT | None = None
        """The fast path while the gate is open, else None."""

        self.tried = False
        """Whether `open` was called for the current native object."""

    def open(self, native: Any) -> None:
        """Open the gate, if the SDK's version is a tested one, all parts are there and the path applies.

        Args:
            native: The new native object.
        """
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
        """Close the gate, and forget the native object, whose run is over."""
        self.fast, self.tried = None, False

    def send(self, *batch: Any, repeatable: bool = False) -> bool:
        """Store a batch by the fast path.

        Args:
            *batch: The arguments of `prepare`.
            repeatable: Whether a batch may be stored twice without a difference.

        Returns:
            Whether the batch is stored; if not, store it by a public call.

        Raises:
            HalfStoredError: The SDK was not as the path knows it, and a part of a batch that is not repeatable may be
                stored already.
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
        """Call a function with the path, for work that stores no records, and return its result.

        Args:
            call: The function.

        Returns:
            The result; None if the gate is closed, or closes because the SDK is not as the path knows it.
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
