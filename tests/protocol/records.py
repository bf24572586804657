"""What SPIN said of the pairs of a campaign: one word for each, kept with the tests.

A line is a pair: its number, the digest of its text, and for each session whether it is safe (`s`)
or unsafe (`u`).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.protocol import promela
from tests.protocol.graph import REFUSED, Fact, Graph
from tests.protocol.pairs import Drawn, drawn, is_safe

PATH = Path(__file__).parent / "verdicts.txt"
AT_ONCE = 16
"""Pairs in one model: SPIN reads many at a time more slowly than few."""


@dataclasses.dataclass(frozen=True)
class Record:
    seed: int
    digest: str
    verdicts: str


def read() -> list[Record]:
    lines = [line.split() for line in PATH.read_text().splitlines() if not line.startswith("#")]
    return [Record(int(seed), digest, verdicts) for seed, digest, verdicts in lines]


def write(records: Iterable[Record]) -> None:
    lines = [
        "# What SPIN says of each session of a pair: number, digest of the text, safe or unsafe"
    ]
    lines += [f"{one.seed} {one.digest} {one.verdicts}" for one in records]
    PATH.write_text("\n".join(lines) + "\n")


def judged(pairs: Sequence[Drawn], folder: Path) -> list[Record]:
    """SPIN's verdicts. Raises promela.Unknown."""
    verdicts: dict[int, str] = {}
    never: dict[int, frozenset[Fact]] = {one.seed: frozenset() for one in pairs}
    todo = list(pairs)
    while todo:
        jobs = [(one.pair, view, never[one.seed]) for one in todo for view in one.pair.sessions]
        unsafe, seen = promela.unsafe(jobs, folder)
        numbers = iter(range(len(jobs)))
        again = []
        for one in todo:
            mine = [next(numbers) for _ in one.pair.sessions]
            verdicts[one.seed] = "".join("u" if number in unsafe else "s" for number in mine)
            if "u" not in verdicts[one.seed] or not (one.pair.group or len(mine) > 1):
                continue
            # What happens in no session is left out of what others may do, and all is asked again.
            found = _never(one, never[one.seed], set().union(*(seen[number] for number in mine)))
            if not found <= never[one.seed]:
                never[one.seed] |= found
                again.append(one)
        todo = again
    return [Record(one.seed, one.digest, verdicts[one.seed]) for one in pairs]


def _never(one: Drawn, never: frozenset[Fact], seen: set[Fact]) -> frozenset[Fact]:
    graphs = {view: Graph(one.pair, 0, view, never) for view in one.pair.sessions}
    found: set[Fact] = set()
    for graph in graphs.values():
        found |= set(graph.facts())
    for view, graph in graphs.items():
        # Who catches that a message is not taken goes on, which no model follows.
        both = {*graph.facts(), *Graph(one.pair, view + 1, view).facts()}
        if any(what == REFUSED for _, what in both & seen):
            found -= set(graph.facts())
    return frozenset(found - seen)


def whole(pairs: Sequence[Drawn], folder: Path) -> list[bool]:
    """Whether all flows of each pair together are safe, by SPIN."""
    unsafe, _ = promela.unsafe([(one.pair, None, frozenset()) for one in pairs], folder)
    return [number not in unsafe for number in range(len(pairs))]


def ours(one: Drawn) -> str:
    """The check's verdicts, written alike."""
    return "".join("s" if is_safe(session) else "u" for session in one.checked)


def batches(seeds: Sequence[int]) -> Iterator[list[Drawn]]:
    """The pairs of these numbers that the compiler takes, some at a time."""
    for at in range(0, len(seeds), AT_ONCE):
        yield [one for one in drawn(seeds[at : at + AT_ONCE]) if one.modules is not None]


def campaign(seeds: Sequence[int]) -> tuple[list[Record], list[str]]:
    """What SPIN says of all these, and where the check says otherwise: in words."""
    records: list[Record] = []
    differences: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pairs in batches(seeds):
            try:
                found = judged(pairs, folder)
            except promela.Unknown:
                found = [one for pair in pairs for one in _alone(pair, folder)]
            records += found
            known = {one.seed: one for one in found}
            for pair in pairs:
                record = known.get(pair.seed)
                if record is not None and record.verdicts != ours(pair):
                    differences.append(f"{pair.seed}: SPIN {record.verdicts}, check {ours(pair)}")
            several = [one for one in pairs if len(one.pair.sessions) > 1]
            if several:
                for pair, is_whole_safe in zip(several, whole(several, folder), strict=True):
                    if not is_whole_safe and "u" not in ours(pair):
                        differences.append(f"{pair.seed}: SPIN finds all together unsafe")
    return records, differences


def _alone(pair: Drawn, folder: Path) -> list[Record]:
    """A pair that has SPIN work too long is left out."""
    try:
        return judged([pair], folder)
    except promela.Unknown:
        return []
