"""A peer that nobody reaches: who has stopped waiting for it is not kept by it at the end."""

from __future__ import annotations

import pytest

from tests.runtime.written import ALICE, CAROL, Stage, compiled

PROGRAM = """
message M

flow A(p: Party) -> Int:
    startable by rpc
    open B with p as t
    send M() to t
    WAIT
    return 1

flow B():
    responds to A as t
    receive from t:
        case M:
            send M() to t
"""
WAITS = {
    "within": """try:
        receive r: M from t within 1s unchecked
        log info "{r == r}"
    catch Timeout:
        log info "late\"""",
    "timeout": """receive from t:
        case M:
            return 2
        case timeout 1s:
            pass""",
    "discard, close": """try:
        receive r: M from t within 1s then discard unchecked
        log info "{r == r}"
    catch Timeout:
        close t
        log info "late {t.peer}\"""",
    "close": """try:
        receive r: M from t within 1s unchecked
        log info "{r == r}"
    catch Timeout:
        close t
        log info "late\"""",
    "block": """try:
        within 1s:
            receive from t:
                case M:
                    return 2
    catch Timeout:
        pass""",
}


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("wait", sorted(WAITS))
def test_a_flow_that_gave_up_ends(wait: str, crashes: bool) -> None:
    program = compiled(PROGRAM.replace("WAIT", WAITS[wait]))
    stage = Stage(program, ALICE, crashes=crashes)  # Nobody runs carol.
    assert stage.run(program.A_v1, p=CAROL) == 1


def test_a_flow_that_only_sent_still_waits_to_be_heard() -> None:
    program = compiled(PROGRAM.replace("WAIT", "pass"))
    stage = Stage(program, ALICE)
    with pytest.raises(AssertionError):
        stage.run(program.A_v1, p=CAROL)


CLOSED = """
message M

flow A(p: Party) -> Text:
    startable by rpc
    open B with p as t
    send M() to t then receive r: M from t unchecked
    log info "{r == r}"
    close t
    sleep 1h
    for n in [1, 2, 3]:
        open B with p as other
        send M() to other
        close other
        log info "{n} {other.peer}"
    sleep 1h
    return "{t.peer} {t.version}"

flow B():
    version 3
    responds to A as t
    receive from t:
        case M:
            send M() to t
            send M() to t
"""


@pytest.mark.parametrize("crashes", [False, True])
def test_who_was_there_is_known_as_long_as_the_session_has_a_name(crashes: bool) -> None:
    program = compiled(CLOSED)
    stage = Stage(program, ALICE, CAROL, crashes=crashes)
    assert stage.run(program.A_v1, p=CAROL) == "carol 3"
    assert [node.flows() for node in stage.nodes.values()] == [[], []]
