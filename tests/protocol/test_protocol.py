"""The protocol check against SPIN and against the runtime.

Two thousand random pairs were judged by SPIN (`make protocol`), and the check must say the same of
each: of half of them in every run of the suite, of the others in a campaign. Here SPIN judges a few
more. What the check shows really happens, and what it finds nothing in goes well, on nodes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import flowlang
from flowlang.compiler import compile_modules, misfits
from flowlang.protocol import facts
from flowlang.protocol.catching import Catching
from flowlang.source import Source
from tests.programs import trial
from tests.programs.generator import seeded
from tests.programs.world import TooLong
from tests.protocol import completing, playing, promela, records
from tests.protocol.__main__ import main
from tests.protocol.pairs import Drawn, checked, codes, compiled, drawn, faults
from tests.protocol.records import Record

CHUNKS = 8
EXAMPLES = Path(flowlang.__file__).parents[1] / "examples"
FRESH = range(1_000_000, 1_000_008)
PLAYED = range(1_100_000, 1_100_030)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Nodes tell of every flow that fails."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def otherwise(known: Sequence[Record]) -> list[str]:
    """The pairs of which the check says something else than SPIN did, or that are others now."""
    found = []
    pairs = drawn(one.seed for one in known)
    for record, pair in zip(known, pairs, strict=True):
        if pair.digest != record.digest:
            found.append(f"{record.seed} is another pair now: run `make protocol` once more")
        elif pair.modules is None:
            found.append(f"{record.seed} is refused:\n{pair.text}")
        elif records.ours(pair) != record.verdicts:
            was = f"SPIN {record.verdicts}, check {records.ours(pair)}"
            found.append(f"{record.seed}: {was}\n{pair.text}")
    return found


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(chunk, marks=[pytest.mark.campaign] if chunk % 2 else [])
        for chunk in range(CHUNKS)
    ],
)
def test_the_check_says_what_spin_said(chunk: int) -> None:
    assert otherwise(records.read()[chunk::CHUNKS]) == []


def test_spin_has_judged_enough() -> None:
    known = records.read()
    assert len(known) >= 2_000
    unsafe = sum("u" in one.verdicts for one in known)
    assert len(known) // 3 < unsafe < 2 * len(known) // 3


def test_a_short_campaign_leaves_the_kept_verdicts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def campaign(seeds: Sequence[int]) -> tuple[list[Record], list[str]]:
        return [Record(seed, "new", "s") for seed in seeds], []

    monkeypatch.setattr(records, "PATH", tmp_path / "verdicts.txt")
    monkeypatch.setattr(records, "campaign", campaign)
    kept = [Record(seed, "old", "u") for seed in (0, 1, 3)]  # The compiler refuses number 2.
    records.write(kept)
    assert main(["campaign", "3"]) == 0
    assert records.read() == kept
    assert "not written: 4 pairs are kept" in capsys.readouterr().out
    assert main(["campaign", "9", "1"]) == 0
    assert records.read() == kept
    assert main(["campaign", "4"]) == 0
    assert [one.digest for one in records.read()] == ["new"] * 4
    assert main(["campaign", "--write", "2"]) == 0
    assert len(records.read()) == 2
    assert main(["play", "--write"]) == 2


if promela.is_there():
    # Where SPIN is not installed, what it said before must do.
    def test_spin_and_the_check_agree_on_others(tmp_path: Path) -> None:
        pairs = [one for one in drawn(FRESH) if one.modules is not None][:6]
        judged = records.judged(pairs, tmp_path)
        assert [one.verdicts for one in judged] == [records.ours(one) for one in pairs]


def test_what_the_check_shows_happens() -> None:
    """Every counterexample of some pairs ends on nodes as it says; every fitting pair goes well."""
    shown = fitting = 0
    for one in drawn(PLAYED):
        if one.modules is None:
            continue
        modules = playing.loaded(one.modules)
        for session, misfit in faults(one):
            assert completing.played(one.pair, modules, session, misfit)
            shown += 1
        if not any(map(codes, one.checked)):
            fitting += 1
            for seed in range(3):
                playing.schedule(one.pair, modules, one.text, seed)
    assert shown >= 5
    assert fitting >= 8


# --- whole programs -------------------------------------------------------------------------------


WRONG = {"failed: UnexpectedMessage", "caught: UnexpectedMessage", "failed: SessionEnded"}


def test_what_happens_in_random_programs_was_found_before() -> None:
    """By the reference interpreter a message is not taken, or an end is not expected: the check has
    said so, in programs of every construct."""
    happened = 0
    for number in range(40):
        program = seeded(number)
        files, modules = trial.understood(program)
        try:
            expected = trial.expected(program, files)
        except TooLong:
            continue
        if WRONG & set(expected.happened):
            happened += 1
            assert any(map(codes, checked(modules))), number
    assert happened >= 5


def test_the_examples_fit() -> None:
    paths = {
        ".".join(path.relative_to(EXAMPLES).with_suffix("").parts): path
        for path in EXAMPLES.rglob("*.flow")
    }
    sources = {name: Source(path.name, name, path.read_text()) for name, path in paths.items()}
    for name in sources:
        found = misfits(compile_modules([name], functools.partial(_found, sources, name)))
        assert [one for one in found if one.severity == "error"] == []


def _found(sources: dict[str, Source], name: str, used: str) -> Source | None:
    """A module of the same folder, by its name there."""
    return sources.get(f"{name.rpartition('.')[0]}.{used}") or sources.get(used)


# --- what SPIN found ------------------------------------------------------------------------------


def said(left: str, right: str, *, group: bool = False) -> list[str]:
    """What the check finds between two flows."""
    one = "open Right with each peers as ss" if group else "open Right with peer as s"
    head = "flow Left(peers: List[Party]):" if group else "flow Left(peer: Party):"
    lines = ["use words: A, B, C, Desk, Flag, Oops, Stop", "", head, "    startable by rpc"]
    lines += [f"    {one}", *left.splitlines(), "", "flow Right():", "    responds to Left as s"]
    text = "\n".join([*lines, *right.splitlines(), ""])
    return sorted(set().union(*map(codes, checked(compiled(text)))))


def test_a_loop_may_give_up_waiting_any_number_of_times() -> None:
    """More than three answers may be late together, and each is dropped."""
    left = """\
    while Desk.says(1):
        send A(1) to s
        try:
            receive b: B from s within 30s then discard unchecked
        catch Timeout:
            pass
    send Stop(1) to s"""
    right = """\
    while true:
        receive from s:
            case A as a unchecked:
                send B(1) to s
            case Stop as stop unchecked:
                break"""
    assert said(left, right) == []


def test_who_catches_an_end_first_is_the_only_one_who_does() -> None:
    left = """\
    try:
        try:
            receive a: A from s unchecked
        catch SessionEnded:
            pass
    catch FlowError:
        receive b: B from s unchecked"""
    assert said(left, "    pass") == []


def test_a_send_to_a_group_may_hear_that_another_has_ended() -> None:
    left = """\
    try:
        send A(1) to each ss
    catch FlowError:
        pass"""
    assert said(left, "    receive a: A from s unchecked", group=True) == ["P203"]


def test_a_loop_over_a_group_may_be_left_before_all_had_their_turn() -> None:
    left = """\
    for t in ss:
        if Desk.says(1):
            break
        send A(1) to t"""
    assert said(left, "    receive a: A from s unchecked", group=True) == ["P203"]


def test_who_was_told_of_an_end_sends_no_more() -> None:
    """The send throws for certain: who catches that goes on behind it."""
    left = """\
    try:
        try:
            receive a: A from s unchecked
        catch SessionEnded:
            send B(1) to s
    catch SessionEnded:
        pass"""
    assert said(left, "    pass") == []
    assert said(
        left.replace("    catch SessionEnded:\n        pass", "    catch Timeout:\n        pass"),
        "    pass",
    ) == ["P204"]


def test_what_another_session_throws_at_a_send_is_caught() -> None:
    text = """\
use words: A, B, C

flow Left(peer: Party):
    startable by rpc
    open First with peer as s
    open Second with peer as t
    try:
        send A(1) to s
        send B(1) to t
    catch SessionEnded:
        send C(1) to t

flow First():
    responds to Left as s
    close s

flow Second():
    responds to Left as t
    receive b: B from t unchecked
"""
    assert [codes(one) for one in checked(compiled(text))] == [set(), {"P201"}]


def test_what_is_said_to_who_has_closed_may_throw() -> None:
    """What stands behind the `catch` happens as well."""
    left = """\
    try:
        send A(1) to s
    catch SessionEnded:
        receive b: B from s unchecked"""
    assert said(left, "    close s") == ["P203"]


# --- what playing found: what others never do -----------------------------------------------------


def test_an_error_that_no_member_throws_is_not_caught() -> None:
    left = """\
    receive a: A from each ss within 30s unchecked
    try:
        receive b: A from each ss unchecked
    catch Oops:
        pass"""
    right = """\
    send A(1) to s
    send A(1) to s"""
    assert said(left, right, group=True) == []
    throws = right.replace(
        "    send A", "    if Desk.says(1):\n        throw Oops()\n    send A", 1
    )
    assert said(left, throws, group=True) == ["P204"]


def test_a_member_that_cannot_have_ended_yet_is_not_heard_to_end() -> None:
    left = """\
    send A(1) to each ss
    sleep 1s
    try:
        send B(1) to each ss
    catch SessionEnded:
        pass"""
    right = """\
    receive a: A from s unchecked
    receive b: B from s unchecked"""
    assert said(left, right, group=True) == []
    # One that is killed has not ended, but failed.
    assert said(left.replace("SessionEnded", "FlowError"), right, group=True) == ["P203"]
    ends = right.replace(
        "    receive b", "    if Desk.says(1):\n        close s\n        return\n    receive b"
    )
    assert said(left, ends, group=True) == ["P203"]


def test_who_was_sent_to_in_a_step_does_not_fail_in_it() -> None:
    left = """\
    send A(1) to each ss
    try:
        send B(1) to each ss
    catch FlowError:
        pass"""
    right = """\
    receive a: A from s unchecked
    receive b: B from s unchecked"""
    assert said(left, right, group=True) == []
    assert said(left.replace("    try", "    sleep 1s\n    try"), right, group=True) == ["P203"]


TWO = """\
use words: A, B, C, Desk, Oops, Stop

flow Left(peer: Party):
    startable by rpc
    open First with peer as s
    open Second with peer as t
%s

flow First():
    responds to Left as s
%s

flow Second():
    responds to Left as t
%s
"""


def two(left: str, first: str, second: str) -> list[set[str]]:
    return [codes(one) for one in checked(compiled(TWO % (left, first, second)))]


def test_what_comes_after_another_session_has_failed_for_certain_is_not_told() -> None:
    left = """\
    receive b: B from t unchecked
    receive a: A from s unchecked"""
    first = "    pass"
    assert two(left, first, "    pass") == [set(), {"P203"}]
    assert two(left, first, "    receive c: C from t unchecked") == [set(), {"P205"}]
    # The other finding shows once that one is repaired.
    assert two(left, first, "    send B(1) to t") == [{"P203"}, set()]
    # Who catches the error goes on.
    caught = left.replace("    receive b", "    try:\n        receive b", 1).replace(
        "\n    receive a", "\n    catch FlowError:\n        pass\n    receive a"
    )
    assert two(caught, first, "    send C(1) to t") == [{"P203"}, {"P201"}]


def test_a_session_that_has_failed_says_nothing_more() -> None:
    left = """\
    while true:
        try:
            receive from t:
                case A as a unchecked:
                    pass
                case Stop as stop unchecked:
                    break
        catch FlowError:
            try:
                receive stop: Stop from t unchecked
            catch FlowError:
                sleep 1s
                continue
            send B(1) to s"""
    first = """\
    pass"""
    second = """\
    while Desk.says(1):
        send A(1) to t
    send Stop(1) to t"""
    assert two(left, first, second) == [set(), set()]
    # A message that is not taken is caught as well, and the session goes on.
    refused = second.replace("    send Stop", "    send C(1) to t\n    send Stop")
    assert two(left, first, refused) == [{"P204"}, {"P201"}]


# --- the tests can fail ---------------------------------------------------------------------------


def test_a_check_that_forgets_decisions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST", 0)
    assert otherwise(records.read()[:80]) != []


def test_a_check_that_catches_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catching, "_caught", lambda *_: iter(()))
    assert otherwise(records.read()[:80]) != []


def test_a_run_that_does_not_happen_is_noticed() -> None:
    """What a counterexample claims is looked for, not anything that goes wrong."""
    found: list[Drawn] = [one for one in drawn(range(40)) if one.modules and faults(one)]
    for one in found:
        [(_, misfit), *_] = faults(one)
        if misfit.code == "P201" and len(one.pair.sessions) == 1:
            assert one.modules is not None
            modules = playing.loaded(one.modules)
            shown = misfit.__class__("P205", 0, misfit.way, misfit.at)
            with pytest.raises(playing.Wrong):
                playing.replay(one.pair, modules, shown)
            return
    pytest.fail("no message that is not taken among the first pairs")
