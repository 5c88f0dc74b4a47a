"""The media of calls, in a tracker around an SDK: each goes the way that the tracker's table declares for its kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from accel_track.errors import DamagedMediumError, warn
from accel_track.media import Histogram, Image, Medium
from accel_track.media.fallbacks import QUANTILES, converted, stored
from accel_track.media.ways import Way
from accel_track.trackers.base import GeneralTracker
from accel_track.values.arrays import is_array

if TYPE_CHECKING:
    from accel_track.media.ways import Way
    from accel_track.trackers.rows import Row


class Own(Image):
    """An image that is the SDK's own object, and goes to the SDK unchanged.

    Args:
        native: The object.
    """

    is_native = True
    path = Path()

    def __init__(self, native: Any) -> None:
        """Keep the object."""
        self.native, self.info = native, {}


class StoresMedia(GeneralTracker):
    """The part of a tracker around an SDK that sorts media by their kinds.

    For each kind that `media` calls native, and for "file" if another kind is stored as a file, a backend has one of
    two methods:

    * `make_<kind>(medium, row)` returns the object that the SDK takes among the values of a call. If `lists` names the
      kind, several media of a name stay a list; if not, each has a name of its own: `name/0`, `name/1`, ….
    * `store_<kind>(name, medium, row)` stores the medium by a call of its own, before the row's values.
    """

    lists: frozenset[str] = frozenset()
    """The kinds of which the SDK takes several media under one name."""

    always_lists: bool = False
    """Whether a single medium of these kinds is a list, too, because the SDK tells lists from single media."""

    most: ClassVar[int | None] = None
    """The largest length of such a list; the media beyond it have further names, such as `name/108`."""

    def log_images(
        self, values: Mapping[str, Any], step: int | None = None, *, captions: Any = None, **kwargs: Any
    ) -> None:
        """Log images, as [`MediaCalls`][accel_track.media.calls.MediaCalls.log_images] does, or the SDK's own images.

        Args:
            values: Images by name, each an image as for `MediaCalls`, an object of the SDK, or a list of these.
            step: Training step, 0 or more, or None.
            captions: Captions, as for `MediaCalls`.
            **kwargs: Arguments of the SDK's own call.
        """
        given = {name: self._with_own(value) for name, value in values.items()}
        super().log_images(given, step, captions=captions, **kwargs)

    def _with_own(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._with_own(one) for one in value]
        return Own(value) if type(value).__module__.partition(".")[0] == self.sdk else value

    def made(self, medium: Medium, make: Callable[[], Any]) -> Any:
        """Return the object that an earlier try of the same call made of a medium, or make it.

        Objects that know which of their parts the SDK has stored need this.

        Args:
            medium: The medium.
            make: A function that makes the object.
        """
        known: WeakKeyDictionary[Medium, Any] = self.__dict__.setdefault("_made", WeakKeyDictionary())
        if medium not in known:
            known[medium] = make()
        return known[medium]

    def forget_media(self) -> None:
        """Forget the objects made of media, and delete their files, at the end of a run."""
        self.__dict__.pop("_made", None)
        self.passing.forget()

    def sort_media(self, row: Row) -> Iterator[tuple[str, Medium]]:
        """Put the media that go among the values into a row; yield name and medium of those that are stored apart.

        Args:
            row: The call.
        """
        for name, media in self._groups(row):
            with _refused(row, name, media):  # a bad one must not lose the next
                yield from self._placed(row, name, media)

    def store_media(self, row: Row, media: Sequence[tuple[str, Medium]]) -> None:
        """Store the media that are not among a row's values; called inside `taken.within`.

        Args:
            row: The call.
            media: Names and media, from `sort_media`.
        """
        for name, medium in media:
            try:
                self.taken.part(("medium", name), partial(getattr(self, f"store_{medium.kind}"), name, medium, row))
            except DamagedMediumError as error:  # noqa: PERF203 - of each
                row.refuse(name, medium, str(error))

    def whole(self, media: Medium | list[Medium]) -> Medium | list[Medium]:
        """Return media with their files, which are written if necessary.

        Args:
            media: A medium, or a list of media.

        Raises:
            TypeError: A medium was made from an object of the wrong type.
            ValueError: A medium was made from a value that its kind does not take.
            OSError: A medium's file cannot be read, or a file cannot be written.
        """
        if isinstance(media, Medium):
            return stored(media, self.passing.folder)
        return [stored(one, self.passing.folder) for one in media]

    def _groups(self, row: Row) -> Iterator[tuple[str, Medium | Sequence[Medium]]]:
        """Yield the media of each name; a list whose media go different ways is split into its parts."""
        for name, media in row.media.items():
            if isinstance(media, Medium) or len({self.way(one) for one in media}) <= 1:
                yield name, media
            else:
                yield from ((f"{name}/{place}", one) for place, one in enumerate(media))

    def _placed(self, row: Row, name: str, media: Medium | Sequence[Medium]) -> Iterator[tuple[str, Medium]]:
        several = not isinstance(media, Medium)
        kind, found = self._converted(row, name, [media] if isinstance(media, Medium) else list(media))
        if not found:
            return
        make = getattr(self, f"make_{kind}", None)
        named = [(name if not several else f"{name}/{place}", one) for place, one in enumerate(found)]
        if make is None:
            yield from named
            return
        made: dict[str, Any] = {}
        for own, one in named:
            with _refused(row, name, one):
                made[own] = one.native if isinstance(one, Own) else make(one, row)
        if kind in self.lists and (several or self.always_lists):
            values = list(made.values())
            size = self.most or len(values)
            parts = {begin: values[begin : begin + size] for begin in range(0, len(values), size or 1)}
            self.add_values(row, {f"{name}/{begin}" if begin else name: part for begin, part in parts.items()})
        else:
            self.add_values(row, made)

    def add_values(self, row: Row, values: Mapping[str, Any]) -> None:
        """Add values to a row; a value whose name the row has already is counted as dropped.

        Args:
            row: The call.
            values: Values by name.
        """
        for name in values.keys() & row.values.keys():
            row.refuse(name, values[name], "the call has another value of this name")
        row.values, row.plain = {**values, **row.values}, False

    def _converted(self, row: Row, name: str, media: list[Medium]) -> tuple[str, list[Medium]]:
        """Return media as a kind that the backend takes; no media if it takes none or they have become numbers."""
        kind, folder = media[0].kind, self.passing.folder
        while kind != "file":
            way = self.way(media[0]) if kind == media[0].kind else self.media.get(kind)
            if way is None or way.how == "none":
                row.refuse(name, media, "" if way is None else way.note)
                return kind, []
            if way.by == "quantiles":
                for place, one in enumerate(media):
                    self._quantiles(row, name if len(media) == 1 else f"{name}/{place}", one)
                return kind, []
            if not way.by:
                break
            media = [self.made(one, partial(converted, one, way.by, folder)) for one in media]
            kind = way.by
        return kind, media

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium; a backend that treats media of one kind differently overrides this.

        Args:
            medium: The medium.
        """
        return self.media.get(medium.kind)

    def _quantiles(self, row: Row, name: str, medium: Medium) -> None:
        assert isinstance(medium, Histogram)  # noqa: S101 - only its way leads here
        numbers = {f"{name}/p{round(100 * share):02d}": medium.quantile(share) for share in QUANTILES}
        numbers |= {f"{name}/min": medium.info["min"], f"{name}/max": medium.info["max"]}
        row.values = {**numbers, **row.values}  # a number of that name, which the user has logged, stays

    def histogram_of(self, name: str, value: Any) -> Medium | None:
        """Return a histogram in place of an array of numbers, with a warning once per name; None for other values.

        Args:
            name: Name of the value.
            value: The value.
        """
        if not is_array(value) or value.dtype.kind not in "biuf" or not value.size:
            return None
        told: set[str] = self.__dict__.setdefault("_told_of_arrays", set())
        if name not in told:
            told.add(name)
            warn(f"{self.name}: {name!r} is an array of {value.size} numbers, and is stored as a histogram.")
        try:
            return stored(Histogram(value), self.passing.folder)
        except ValueError:  # none of them is finite
            return None


@contextlib.contextmanager
def _refused(row: Row, name: str, media: Medium | Sequence[Medium]) -> Iterator[None]:
    """Refuse media of which the block cannot make what the SDK takes; other errors are the machine's."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # such as a full disk
            raise
        row.refuse(name, media, str(error))


def media_of(value: Any) -> Medium | list[Medium] | None:
    """Return the medium, or the list of media of one kind, that a value is; None for any other value.

    Media of a list that could not be read are None in it, and left out.
    """
    if isinstance(value, Medium):
        return value
    if type(value) is list and any(isinstance(one, Medium) for one in value):
        media = [one for one in value if one is not None]
        if all(isinstance(one, Medium) and one.kind == media[0].kind for one in media):
            return media
    return None
