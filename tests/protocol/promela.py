"""Pairs in Promela, many in one model, and what SPIN finds out about each.

A process for each flow with a label for every node, a channel for every direction, and a process
that moves when nothing else can. Whatever goes wrong is told with the pair's number, and SPIN goes
on: it compiles once for all of them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.protocol.graph import (
    CLOSED,
    END,
    FAILED,
    REFUSED,
    Fact,
    Go,
    Graph,
    Hear,
    Node,
    Over,
    Say,
    Set,
    Shut,
    Test,
)
from tests.protocol.tree import MESSAGES, Pair

ROOM = 6
"""Messages under way in one direction."""

HEAD = """\
c_decl { unsigned char told[4096]; unsigned char seen[65536]; }
short pair;
bool over;
mtype = { %s };
bool done[4];
bool shut[4];
"""

SEEN = r'c_code {{ if (!seen[{0}]) {{ seen[{0}] = 1; printf("SEEN {0}\n"); }} }}; '
"""Something happens, under this number."""

TOLD = r"""
wrong: c_code {
    if (!now.over && !told[now.pair]) { told[now.pair] = 1; printf("UNSAFE %d\n", now.pair); }
};
stuck: false }"""
"""The end of a process in which something may go wrong."""


class Unknown(Exception):
    """SPIN did not come to an end."""


def model(
    pairs: Sequence[Job], room: int = ROOM, facts: list[tuple[int, Fact]] | None = None
) -> str:
    """All these pairs; of each the session that is looked at, None for all together, and what does
    not happen in others. Notes in `facts` what is seen under which number, with the pair's."""
    known: list[tuple[int, Fact]] = [] if facts is None else facts
    lines = [HEAD % ", ".join(MESSAGES)]
    sessions = max(len(pair.sessions) for pair, _, _ in pairs)
    for number in range(sessions):
        # Side 0 of a session is the flow that opened it.
        lines += [f"chan to{number}_{side} = [{room}] of {{ mtype, bit }};" for side in (0, 1)]
    starts = []
    for number, (pair, view, never) in enumerate(pairs):
        seen = list(pair.sessions) if view is None else [view]
        flows = [0, *(one + 1 for one in seen)]
        graphs = {flow: Graph(pair, flow, view, never) for flow in flows}
        for flow in flows:
            lines += _Process(f"p{number}_{flow}", graphs, flow, _Notes(number, known)).lines()
        runs = "; ".join(f"run p{number}_{flow}()" for flow in flows)
        finals = " && ".join(f"done[{2 * one + side}]" for one in seen for side in (0, 1))
        full = " || ".join(f"len(to{one}_{side}) == {room}" for one in seen for side in (0, 1))
        lines += [
            f"proctype w{number}() {{",
            f"timeout -> if :: over || ({finals}) || ({full}) -> goto stuck",
            ":: else -> skip fi;",
            TOLD,
        ]
        starts.append(f":: atomic {{ pair = {number}; {runs}; run w{number}() }}")
    lines += ["init { if", *starts, "fi }"]
    return "\n".join(lines) + "\n"


Job: TypeAlias = tuple[Pair, int | None, frozenset[Fact]]
"""A pair, the session that is looked at, what never happens in others."""


class _Notes:
    """Has a number for all that may be seen in a pair."""

    def __init__(self, pair: int, known: list[tuple[int, Fact]]) -> None:
        self._pair = pair
        self._known = known

    def note(self, fact: Fact | None) -> str:
        if fact is None:
            return ""
        if (self._pair, fact) not in self._known:
            self._known.append((self._pair, fact))
        return SEEN.format(self._known.index((self._pair, fact)))

    def refused(self, fact: Fact | None) -> str:
        return self.note(fact) if fact is not None and fact[1] == REFUSED else ""


class _End:
    """One side of a session, as the process of a flow has it."""

    def __init__(self, session: int, flow: int) -> None:
        mine = 0 if flow == 0 else 1
        self.out, self.back = f"to{session}_{1 - mine}", f"to{session}_{mine}"
        self.mine, self.other = 2 * session + mine, 2 * session + 1 - mine
        self.owes = f"owes{session}"
        self.heard = f"h{session}"
        self.has_ended = f"done[{self.other}] && len({self.back}) == 0"


class _Process:
    """A flow. What it can never do, such as to drop messages, is left out: it compiles sooner."""

    def __init__(self, name: str, graphs: Mapping[int, Graph], flow: int, notes: _Notes) -> None:
        self._name = name
        # What is of use to other sessions: those are the first flow's.
        self._note = notes.note if flow == 0 else notes.refused
        self._flow = flow
        self._graph = graph = graphs[flow]
        self._sessions = [flow - 1] if flow else [other - 1 for other in graphs if other]
        self._drops = any(
            discard for one in graph.nodes if isinstance(one, Hear) for _, discard in one.ways
        )
        self._shuts = _shuts(graph)
        self._is_shut = {
            number
            for number in self._sessions
            if (other := graphs.get(0 if flow else number + 1)) is not None
            and number in _shuts(other)
        }

    def lines(self) -> Iterator[str]:
        nodes = self._graph.nodes
        yield f"proctype {self._name}() {{"
        for variable in sorted(self._graph.names):
            yield f"bit {variable};"
        if self._drops:
            yield from (f"byte owes{number};" for number in self._sessions)
        yield from (f"bit h{number};" for number in self._sessions)
        yield "mtype m; bit v;"
        yield f"goto n{self._graph.start};"
        for number, node in enumerate(nodes):
            yield f"n{number}: " + self._node(number, node)
        if any(isinstance(one, Over) and one.how == FAILED for one in nodes):
            yield "fail: over = 1; goto stuck;"
        yield TOLD

    def _node(self, number: int, node: Node) -> str:
        match node:
            case Go(ways=[way]) if way == number:
                return f"v = 1 - v; goto n{number};"
            case Go(ways=ways):
                # To come back at once is to have done nothing.
                return "if " + " ".join(f":: goto n{w}" for w in ways if w != number) + " fi;"
            case Set(name=name, value=value, next=then):
                return f"{name} = {value}; goto n{then};"
            case Test(name=name, yes=yes, no=no):
                return f"if :: {name} -> goto n{yes} :: else -> goto n{no} fi;"
            case Say():
                return self._say(node)
            case Hear():
                return self._hear(number, node)
            case Shut(session=session, next=then):
                end = _End(session, self._flow)
                return f"done[{end.mine}] = 1; shut[{end.mine}] = 1; goto n{then};"
            case Over(how=how):
                return self._over(number, how)

    def _say(self, node: Say) -> str:
        end = _End(node.session, self._flow)
        send = f"{end.out}!{node.message},{node.value}; goto n{node.next}"
        ways = [send]
        if node.session in self._is_shut or (
            node.session in self._shuts and not self._graph.is_alone
        ):
            ways = [f"shut[{end.other}] -> goto n{node.next}", f"!shut[{end.other}] -> {send}"]
        if node.session in self._shuts and not self._graph.is_alone:
            what = "over = 1; goto stuck" if node.thrown is None else f"goto n{node.thrown}"
            ways = [f"shut[{end.mine}] -> {what}", *(f"!shut[{end.mine}] && {way}" for way in ways)]
        if node.thrown is not None:
            # Who was told of the end does not send any more.
            ways = [
                f"!{end.heard} && {way}" if "->" in way else f"!{end.heard} -> {way}"
                for way in ways
            ]
            seen = self._note((node.line, END))
            ways.append(f"{end.has_ended} -> {seen}{end.heard} = 1; goto n{node.thrown}")
        return send + ";" if len(ways) == 1 else f"if :: {' :: '.join(ways)} fi;"

    def _hear(self, number: int, node: Hear) -> str:
        parts = []
        for session, cases in node.takes.items():
            end = _End(session, self._flow)
            owes, back = end.owes, end.back
            there = f"len({back}) > 0"
            if self._drops:
                parts.append(
                    f":: atomic {{ {owes} > 0 && {there} -> {back}?m,v; {owes}--; goto n{number} }}"
                )
                there += f" && {owes} == 0"
            found = [
                f":: m == {message} -> {self._note(node.facts[session, message])}"
                f"{f'{name} = v; ' if name else ''}goto n{then}"
                for message, (name, then) in cases.items()
            ]
            found.append(f":: else -> {self._note(node.refused)}goto wrong")
            parts.append(f":: atomic {{ {there} -> {back}?m,v; if {' '.join(found)} fi }}")
            then = node.ended.get(session)
            what = "wrong" if then is None else f"n{then}"
            seen = "" if then is None else self._note(node.facts[session, END])
            parts.append(f":: {end.has_ended} -> {seen}{end.heard} = 1; goto {what}")
            if session in self._shuts and not self._graph.is_alone:
                # To wait where this side has closed throws at once.
                what = "over = 1; goto stuck" if then is None else f"goto {what}"
                parts.append(f":: shut[{end.mine}] -> {what}")
        for way, discard in node.ways:
            # A way that leads back to the same place at once is refused by SPIN, yet it is one.
            turn = "v = 1 - v; " if way == number else ""
            owing = "".join(
                f"if :: owes{session} < 100 -> owes{session}++ :: else fi; "
                for session in node.takes
                if discard
            )
            parts.append(f":: true -> {turn}{owing}goto n{way}")
        return "if " + " ".join(parts) + " fi;"

    def _over(self, number: int, how: str) -> str:
        if how == FAILED:
            return "goto fail;"
        text = ""
        parts = []
        for session in self._sessions:
            end = _End(session, self._flow)
            text += f"done[{end.mine}] = 1; "
            if how == CLOSED:
                continue
            there = f"len({end.back}) > 0"
            if session in self._shuts:
                there += f" && !shut[{end.mine}]"
            if self._drops:
                parts.append(
                    f":: atomic {{ {there} && {end.owes} > 0 -> {end.back}?m,v; {end.owes}--; "
                    f"goto n{number}w }}"
                )
                there += f" && {end.owes} == 0"
            parts.append(f":: {there} -> goto wrong")
        # Nothing else comes of it.
        return f"{text}n{number}w: if {' '.join(parts or [':: false'])} fi;"


def _shuts(graph: Graph) -> set[int]:
    return {one.session for one in graph.nodes if isinstance(one, Shut)}


# --- asking SPIN ----------------------------------------------------------------------------------


def is_there() -> bool:
    """Whether SPIN can be asked on this machine."""
    return bool(shutil.which("spin") and (shutil.which("tcc") or shutil.which("gcc")))


def unsafe(
    pairs: Sequence[Job], folder: Path, room: int = ROOM, limit_s: int = 300
) -> tuple[set[int], dict[int, set[Fact]]]:
    """The numbers of those pairs in which a message is not taken, is read by nobody, a side waits
    for one that has ended, or both wait; and what was seen in each. Raises Unknown."""
    facts: list[tuple[int, Fact]] = []
    (folder / "pairs.pml").write_text(model(pairs, room, facts))
    _run(folder, limit_s, "spin", "-o3", "-a", "pairs.pml")
    # The first compiles forty times as fast.
    compiler = "tcc" if shutil.which("tcc") else "gcc"
    switches = ("-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR")
    _run(folder, limit_s, compiler, *switches, "-o", "pan", "pan.c")
    said = _run(folder, limit_s, "./pan", "-E", "-m200000", "-w22")
    unwanted = ("error:", "max search depth too small", "out of memory")
    if "pan: elapsed" not in said or any(words in said for words in unwanted):
        raise Unknown(said)
    lines = [line.split() for line in said.splitlines()]
    seen: dict[int, set[Fact]] = {number: set() for number in range(len(pairs))}
    for line in lines:
        if line[:1] == ["SEEN"]:
            number, fact = facts[int(line[1])]
            seen[number].add(fact)
    return {int(line[1]) for line in lines if line[:1] == ["UNSAFE"]}, seen


def _run(folder: Path, limit_s: int, *command: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unknown(f"{command[0]} takes longer than {limit_s} s") from error
    if done.returncode:
        raise Unknown(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout
