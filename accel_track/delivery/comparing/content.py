"""The comparison of one rank's media and artifacts with those of its backend run."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from accel_track.delivery.comparing.found import Found, FoundMedium
from accel_track.delivery.comparing.lacking import Lacking
from accel_track.delivery.comparing.likeness import same
from accel_track.delivery.comparing.sent import Sent, SentArtifact
from accel_track.delivery.comparing.sent_media import SentMedium, plural
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.media import StoresMedia

if TYPE_CHECKING:
    from accel_track.delivery.receipt import Receipt

_Index = dict[str, dict[int | None, list[FoundMedium]]]


class ContentComparison:
    """The part of a comparison that looks into files.

    Args:
        receipt: The receipt, to which it is added.
        tracker: The tracker.
        sent: What the journal says.
        found: What the backend has.
        lacking: Gets what is to be delivered to make the backend's run whole.
    """

    def __init__(self, receipt: Receipt, tracker: GeneralTracker, sent: Sent, found: Found, lacking: Lacking) -> None:
        """Keep the arguments."""
        self.receipt, self.tracker, self.sent, self.found, self.lacking = receipt, tracker, sent, found, lacking

    def compare_media(self, texts: list[FoundMedium]) -> None:
        """Compare media.

        Args:
            texts: Texts that are no value's, which may be media.
        """
        tally, design, keeps = self.receipt.media, self.receipt.by_design, self.tracker.keeps_of_a_step
        index: _Index = defaultdict(lambda: defaultdict(list))
        for there in (*self.found.media, *texts):
            index[there.name][there.step].append(there)
        due = [one for one in self.sent.media if one.look is not None and not self.lacks(one.kind)]
        if keeps != "all":
            kept = {(one.name, one.place, one.step): one for one in (due if keeps == "last" else due[::-1])}
            chosen = [one for one in due if one.step is None or kept[one.name, one.place, one.step] is one]
            design[f"media of a step of which it keeps the {keeps}"] += len(due) - len(chosen)
            due = chosen
        for one in [one for one in due if not self._take(one, index, alike=True)]:
            differs = self._take(one, index, alike=False)
            if not differs and self.sent.excused(one.name, 1):
                self.receipt.dropped.add(one.name, [one.step])
                tally.sent -= 1
                continue
            (tally.differing if differs else tally.missing).add(one.name, [one.step])
            if not (differs and keeps == "first"):
                self.lacking.media.setdefault(one.seq, set()).add((one.name, one.place))
        tally.sent += len(due)
        self._extra(index, due)

    def _extra(self, index: _Index, due: list[SentMedium]) -> None:
        """Count the found media that nothing sent stands for; those of rewound or pending records are excused."""
        chosen = set(map(id, due))
        excused = {(name, one.step) for one in self.sent.media if id(one) not in chosen for name in self._names(one)}
        for name, by_step in index.items():
            for step, some in by_step.items():
                if name not in self.sent.free and (name, step) not in excused:
                    values = sum(one.is_text for one in some)
                    self.receipt.values.extra.add(name, [step] * values)
                    self.receipt.media.extra.add(name, [step] * (len(some) - values))

    def _take(self, one: SentMedium, index: _Index, *, alike: bool) -> bool:
        """Take a medium out of those found: the same one, or any of its name and step."""
        for name in self._names(one):
            if name not in index:
                continue
            steps = [one.step] if one.step is not None else list(index[name])
            for step in steps:
                for place, other in enumerate(index[name].get(step, ())):
                    if not alike or (one.look is not None and same(one.look, other.look)):
                        del index[name][step][place]
                        return True
        return False

    def _names(self, one: SentMedium) -> list[str]:
        """Return the names that a backend may have a medium under."""
        names = [one.name]
        if one.place is not None:
            part = self.tracker.most if isinstance(self.tracker, StoresMedia) and self.tracker.most else one.place + 1
            names = [
                f"{one.name}/{one.place}",
                one.name,
                *(f"{one.name}/{n}" for n in range(part, one.place + 1, part)),
            ]
        return list(dict.fromkeys([*names, *map(self.sent.stored_name, names)]))

    def lacks(self, kind: str) -> bool:
        """Return whether the backend's reader never gives a kind; if so, count one that is not compared."""
        if kind in self.found.lacks:
            what = "hyperparameters" if kind == "config" else plural(kind)
            self.receipt.uncompared[f"{what}, which cannot be read there: {self.found.lacks[kind]}"] += 1
        return kind in self.found.lacks

    def compare_artifacts(self) -> None:
        """Look for each artifact by its files; of several of one name, the last has to be there."""
        tally = self.receipt.artifacts
        found = [(name, Counter(files.values())) for name, files in self.found.artifacts]
        last = {one.name: one for one in self.sent.artifacts}
        left = [one for one in self.sent.artifacts if not self.lacks(one.kind)]
        tally.sent += len(left)
        left.sort(key=lambda one: last[one.name] is not one)  # the last of each name first
        for by_name, whole in ((True, True), (False, True), (False, False)):
            left = [one for one in left if not self._take_files(one, found, by_name=by_name, whole=whole)]
        for one in left:
            if last[one.name] is not one:
                self.receipt.uncompared["earlier versions of artifacts, which a backend need not keep"] += 1
                tally.sent -= 1
                continue
            names = (one.name, self.sent.stored_name(one.name))
            (tally.differing if any(name in names for name, _ in found) else tally.missing).add(one.name, [one.step])
            self.lacking.records.add(one.seq)

    def _take_files(
        self, one: SentArtifact, found: list[tuple[str, Counter[str]]], *, by_name: bool, whole: bool
    ) -> bool:
        """Take an artifact's files out of those found; say whether they were there.

        Args:
            one: The artifact.
            found: Names of artifacts, and the checksums of their files.
            by_name: Whether only those of its name count.
            whole: Whether only those of the same files count; else also a folder that holds others, as MLflow has for
                names such as "data/train", and for several artifacts of one name.
        """
        files = Counter(one.files.values())
        names = (one.name, self.sent.stored_name(one.name))
        for place, (name, sums) in enumerate(found):
            if (name in names or not by_name) and (files == sums or (not whole and files <= sums)):
                if files == sums:
                    del found[place]
                else:
                    sums.subtract(files)
                return True
        return False
