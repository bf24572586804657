"""Which images a disk may have after its power was lost, at every point of its log.

What was synced is there. Of what was not, anything may be: nothing, all, some writes and not the
others, some sectors of a write, rubbish where a file grew; and a name that was made, removed or
changed without a sync of the folder may be the old one or the new one. Knows no SQLite.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from tests.power.disk import Disk, put

SECTOR = 512
Write: TypeAlias = "tuple[int, bytes | None]"
"""An offset and the data; None for the data: cut there."""
Change: TypeAlias = "tuple[Any, ...]"


@dataclasses.dataclass(frozen=True)
class State:
    """What a disk may hold: the kind of loss, and its files. `point` is how much of the log had
    happened."""

    kind: str
    point: int
    images: dict[str, bytes]


class Platter:
    """What is durable, and what waits for a sync, at one point of a log.

    With `names_follow` a file's sync makes its own name durable as well, as ext4 and XFS do.
    """

    def __init__(self, disk: Disk, *, names_follow: bool = False) -> None:
        self.names_follow = names_follow
        self.durable: dict[int, bytes] = {}
        self.waiting: dict[int, list[Write]] = {}
        self.names: dict[str, int] = {}
        self.changes: list[Change] = []
        self.last: int | None = None
        """The file that the last operation wrote to."""
        for number, (name, content) in enumerate(disk.start.items(), 1):
            self.names[name] = number
            self.durable[number] = content

    def take(self, entry: tuple[Any, ...]) -> None:
        """The next entry of the log."""
        kind, *rest = entry
        self.last = None
        if kind == "write":
            self.waiting.setdefault(rest[0], []).append((rest[1], rest[2]))
            self.last = rest[0]
        elif kind == "truncate":
            self.waiting.setdefault(rest[0], []).append((rest[1], None))
        elif kind == "sync":
            self._sync(rest[0])
        elif kind == "lost":
            self.waiting.pop(rest[0], None)
        elif kind == "folder":
            self.names = self._names(self.changes)
            self.changes = []
        elif kind == "create":
            self.durable[rest[1]] = b""
            self.changes.append(entry)
        elif kind in ("unlink", "rename"):
            self.changes.append(entry)

    def _sync(self, inode: int) -> None:
        writes = self.waiting.pop(inode, None)
        if writes:
            self.durable[inode] = self._content(inode, writes)
        if self.names_follow:
            for change in [one for one in self.changes if one[0] == "create" and one[2] == inode]:
                # What was to become of the same name before is past.
                here, name = self.changes.index(change), change[1]
                older = [one for one in self.changes[:here] if one[1] != name]
                self.changes = older + self.changes[here + 1 :]
                self.names[name] = inode

    def _content(self, inode: int, writes: Sequence[Write]) -> bytes:
        if not writes:
            return self.durable[inode]
        content = bytearray(self.durable[inode])
        for offset, data in writes:
            put(content, offset, data)
        return bytes(content)

    def _names(self, changes: Sequence[Change]) -> dict[str, int]:
        names = dict(self.names)
        for kind, name, *rest in changes:
            if kind == "create":
                names[name] = rest[0]
            elif kind == "unlink":
                names.pop(name, None)
            elif name in names:
                names[rest[0]] = names.pop(name)
        return names

    def image(
        self, chosen: dict[int, Sequence[Write]], changes: Sequence[Change]
    ) -> dict[str, bytes]:
        """The files, if of what waits only this is there."""
        return {
            name: self._content(inode, chosen.get(inode, ()))
            for name, inode in self._names(changes).items()
        }

    # --- what may be lost ---

    def images(self, draw: random.Random, samples: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        """(kind, files) of what may be there: every simple loss, and `samples` of each kind that
        has too many."""
        waiting, changes = self.waiting, self.changes
        yield "all there", self.image(dict(waiting), changes)
        yield "synced only", self.image({}, ())
        if changes:
            yield "names only", self.image({}, changes)
            yield "names lost", self.image(dict(waiting), ())
        if len(waiting) > 1:
            for inode, writes in waiting.items():
                yield "one file only", self.image({inode: writes}, changes)
        if self.last is not None:
            yield from self._torn(self.last, draw, samples)
        if sum(map(len, waiting.values())) + len(changes) > 1:
            for _ in range(samples):
                inode = draw.choice(list(waiting)) if waiting else 0
                kept = waiting.get(inode, [])[: draw.randrange(len(waiting.get(inode, ())) + 1)]
                yield "prefix", self.image({inode: kept}, _some(changes, draw))
                yield "subset", self.image(self._subset(draw, 0.0), _some(changes, draw))
                yield "subset, torn", self.image(self._subset(draw, 0.4), _some(changes, draw))
                yield "rubbish", self._rubbish(draw)

    def _torn(
        self, inode: int, draw: random.Random, samples: int
    ) -> Iterator[tuple[str, dict[str, bytes]]]:
        *before, (offset, data) = self.waiting[inode]
        assert data is not None
        parts = sectors(offset, data)
        if len(parts) < 2:
            return
        cut = draw.randrange(1, len(parts))
        others = {other: writes for other, writes in self.waiting.items() if other != inode}
        for torn in (parts[:cut], parts[cut:], [one for one in parts if draw.random() < 0.5]):
            yield "torn", self.image({**others, inode: [*before, *torn]}, self.changes)
        for _ in range(samples):
            torn = [one for one in parts if draw.random() < 0.5]
            yield "torn, alone", self.image({inode: torn}, _some(self.changes, draw))

    def _subset(self, draw: random.Random, torn: float) -> dict[int, Sequence[Write]]:
        chosen: dict[int, Sequence[Write]] = {}
        for inode, writes in self.waiting.items():
            share = draw.choice((0.1, 0.5, 0.9))
            kept: list[Write] = []
            for offset, data in writes:
                if draw.random() >= share:
                    continue
                if data is not None and draw.random() < torn:
                    kept += [one for one in sectors(offset, data) if draw.random() < 0.5]
                else:
                    kept.append((offset, data))
            chosen[inode] = kept
        return chosen

    def _rubbish(self, draw: random.Random) -> dict[str, bytes]:
        """Files are as long as they should be; where they grew, some of it never was written."""
        chosen: dict[int, Sequence[Write]] = {}
        for inode, writes in self.waiting.items():
            size, whole = len(self.durable[inode]), len(self._content(inode, writes))
            if whole <= size:
                continue
            kept = [one for one in writes if draw.random() < 0.7]
            chosen[inode] = [(size, draw.randbytes(whole - size)), *kept]
        return self.image(chosen, _some(self.changes, draw))


def sectors(offset: int, data: bytes) -> list[Write]:
    """A write, cut where the disk's sectors begin."""
    first = SECTOR - offset % SECTOR
    cuts = [0, *range(first, len(data), SECTOR), len(data)]
    return [(offset + a, data[a:b]) for a, b in itertools.pairwise(cuts)]


def _some(changes: Sequence[Change], draw: random.Random) -> Sequence[Change]:
    """The first of the changes, or any of them."""
    if draw.random() < 0.5:
        return changes[: draw.randrange(len(changes) + 1)]
    return [one for one in changes if draw.random() < 0.5]


def losses(
    disk: Disk, draw: random.Random, *, samples: int = 1, every: int = 1, names_follow: bool = False
) -> Iterator[tuple[Sequence[tuple[Any, ...]], State]]:
    """Every different state after a loss of power, with the marks that came before it. With
    `every` greater than 1 only that part of the points, drawn."""
    platter = Platter(disk, names_follow=names_follow)
    marks: list[tuple[Any, ...]] = []
    seen: set[int] = set()
    for point, entry in enumerate(disk.log, 1):
        if entry[0] == "mark":
            marks.append(entry[1:])
            seen.clear()  # The same image is another state when more was promised.
            continue
        platter.take(entry)
        if every > 1 and draw.randrange(every):
            continue
        for kind, images in platter.images(draw, samples):
            key = hash(frozenset(images.items()))
            if key not in seen:
                seen.add(key)
                yield marks, State(kind, point, images)


def at_end(disk: Disk) -> Platter:
    """What is durable and what is not after all of a disk's log."""
    platter = Platter(disk)
    for entry in disk.log:
        if entry[0] != "mark":
            platter.take(entry)
    return platter


def left(disk: Disk, draw: random.Random) -> State:
    """What one disk has after the power was lost now: one of what it may have."""
    kind, images = draw.choice(list(at_end(disk).images(draw, 1)))
    return State(kind, len(disk.log), images)
