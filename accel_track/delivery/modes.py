"""The modes of delivery, by the name that the setting `delivery` has for each."""

from __future__ import annotations

from accel_track.delivery.base import Delivery
from accel_track.delivery.inline import InlineDelivery
from accel_track.delivery.journaled import JournaledDelivery, JournalOnly
from accel_track.options import Settings

_MODES: dict[str, type[Delivery]] = {
    "inline": InlineDelivery,
    "thread": JournaledDelivery,
    "process": JournaledDelivery,
    "none": JournalOnly,
}


def mode_of(settings: Settings) -> type[Delivery]:
    """Return the mode that the settings name; with "process", the journaled one has a companion take trackers over."""
    return _MODES[settings.delivery]
