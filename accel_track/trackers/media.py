"""The media of calls: what a tracker around an SDK makes of them, as its table of ways says."""

from __future__ import annotations

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
    """An image that is the SDK's own object, and goes to it as it is.

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

    For each kind that `media` calls native, and for "file" where others are stored as files, a backend has one of two
    methods:

    * `make_<kind>(medium, row)` returns what the SDK takes among the values of a call. Where `lists` names the kind,
      several media of a name stay a list; else each has a name of its own, `name/0`, `name/1`, ….
    * `store_<kind>(name, medium, row)` stores it, by a call of its own, before the row's values.
    """

    lists: frozenset[str] = frozenset()
    """The kinds of which the SDK takes several under one name."""

    always_lists: bool = False
    """Whether one medium of these kinds is a list, too: where the SDK keeps lists and single ones apart."""

    most: ClassVar[int | None] = None
    """How many these may be; of more, each further part has a name of its own, such as `name/108`."""

    def log_images(
        self, values: Mapping[str, Any], step: int | None = None, *, captions: Any = None, **kwargs: Any
    ) -> None:
        """Log images, of which some may be the SDK's own objects; else as `MediaCalls.log_images`."""
        given = {name: self._with_own(value) for name, value in values.items()}
        super().log_images(given, step, captions=captions, **kwargs)

    def _with_own(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._with_own(one) for one in value]
        return Own(value) if type(value).__module__.partition(".")[0] == self.sdk else value

    def made(self, medium: Medium, make: Callable[[], Any]) -> Any:
        """Return what an earlier try of the same call has made of a medium, else make it.

        For objects that know what of them the SDK has stored.
        """
        known: WeakKeyDictionary[Medium, Any] = self.__dict__.setdefault("_made", WeakKeyDictionary())
        if medium not in known:
            known[medium] = make()
        return known[medium]

    def forget_media(self) -> None:
        """Forget what was made of media, and delete its files: the run is over."""
        self.__dict__.pop("_made", None)
        self.passing.forget()

    def sort_media(self, row: Row) -> Iterator[tuple[str, Medium]]:
        """Put what the SDK takes among values into a row's; yield the names and media that are to be stored apart."""
        for name, media in self._groups(row):
            try:
                yield from self._placed(row, name, media)
            except (OSError, ValueError, TypeError) as error:  # noqa: PERF203 - a bad one must not lose the next
                if isinstance(error, OSError) and error.errno is not None:  # the machine's, such as a full disk
                    raise
                row.refuse(name, media, str(error))

    def store_media(self, row: Row, media: Sequence[tuple[str, Medium]]) -> None:
        """Store media that are not among a row's values; within `taken.within`."""
        for name, medium in media:
            try:
                self.taken.part(("medium", name), partial(getattr(self, f"store_{medium.kind}"), name, medium, row))
            except DamagedMediumError as error:  # noqa: PERF203 - of each
                row.refuse(name, medium, str(error))

    def whole(self, media: Medium | list[Medium]) -> Medium | list[Medium]:
        """Return media with their files.

        Raises:
            TypeError: As `Medium.content`.
            ValueError: As `Medium.content`.
            OSError: As `Medium.content`; or a file cannot be stored.
        """
        if isinstance(media, Medium):
            return stored(media, self.passing.folder)
        return [stored(one, self.passing.folder) for one in media]

    def _groups(self, row: Row) -> Iterator[tuple[str, Medium | Sequence[Medium]]]:
        """Yield the media of each name; those of a list that do not go the same way one by one."""
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
        values = [one.native if isinstance(one, Own) else make(one, row) for one in found]
        if kind in self.lists and (several or self.always_lists):
            size = self.most or len(values)
            parts = {begin: values[begin : begin + size] for begin in range(0, len(values), size)}
            self.add_values(row, {f"{name}/{begin}" if begin else name: part for begin, part in parts.items()})
        else:
            self.add_values(row, {one: value for (one, _), value in zip(named, values, strict=True)})

    def add_values(self, row: Row, values: Mapping[str, Any]) -> None:
        """Add to a row's values; of two with one name, as that of the second of several media, the first stays."""
        for name in values.keys() & row.values.keys():
            row.refuse(name, values[name], "the call has another value of this name")
        row.values, row.plain = {**values, **row.values}, False

    def _converted(self, row: Row, name: str, media: list[Medium]) -> tuple[str, list[Medium]]:
        """Return media as a kind that the backend takes; none where it takes none, or they have become numbers."""
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
        """Return what becomes of a medium; a backend that makes differences within a kind overrides this."""
        return self.media.get(medium.kind)

    def _quantiles(self, row: Row, name: str, medium: Medium) -> None:
        assert isinstance(medium, Histogram)  # noqa: S101 - only its way leads here
        numbers = {f"{name}/p{round(100 * share):02d}": medium.quantile(share) for share in QUANTILES}
        numbers |= {f"{name}/min": medium.info["min"], f"{name}/max": medium.info["max"]}
        row.values = {**numbers, **row.values}  # a number of that name, which the user has logged, stays

    def histogram_of(self, name: str, value: Any) -> Medium | None:
        """Return the histogram that stands for an array of many numbers, warning once a name; None for others."""
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


def media_of(value: Any) -> Medium | list[Medium] | None:
    """Return a value that is a medium, or a list of media of one kind, without what could not be read; else None."""
    if isinstance(value, Medium):
        return value
    if type(value) is list and any(isinstance(one, Medium) for one in value):
        media = [one for one in value if one is not None]
        if all(isinstance(one, Medium) and one.kind == media[0].kind for one in media):
            return media
    return None
