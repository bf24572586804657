"""Defects of the compiler: what a state keeps, what is caught where, how long a wait may last."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "compiler"
_FLOWS = "flowlang.cfg.flows:_Lowering"
_LIVE = "flowlang.cfg.liveness"

DEFECTS = (
    defect(
        "loop forgets",
        _ROOM,
        "what only a later round of a loop needs is not kept",
        "hospital",
        (
            f"{_LIVE}:needed",
            "if found != needs[name]:",
            "if found != needs[name] and not needs[name]:",
        ),
    ),
    defect(
        "handler forgets",
        _ROOM,
        "what only the handler of an error needs is not kept",
        "hospital",
        (
            f"{_LIVE}:_block_needs",
            "live = _next_needs(block.next, needs) | caught",
            "live = _next_needs(block.next, needs)\n    caught = NOTHING",
        ),
    ),
    defect(
        "wait forgets",
        _ROOM,
        "what a wait itself needs is not kept",
        "hospital",
        (
            f"{_LIVE}:_next_needs",
            "return needs[target] | _all_read(walk.wait_expressions(wait))",
            "return needs[target]",
        ),
    ),
    defect(
        "assignment forgets",
        _ROOM,
        "what an assignment reads is not kept if it is what it changes",
        "hospital",
        (
            f"{_LIVE}:_before_one",
            "return (live - {name}) | walk.reads(value)",
            "return (live | walk.reads(value)) - {name}",
        ),
    ),
    defect(
        "condition forgets",
        _ROOM,
        "what only a condition after a wait reads is not kept",
        "hospital",
        (
            f"{_LIVE}:_next_needs",
            "needs[then] | needs[otherwise] | walk.reads(condition)",
            "needs[then] | needs[otherwise]",
        ),
    ),
    defect(
        "case forgets",
        _ROOM,
        "what only the cases of a choice name is not kept",
        "hospital",
        (
            f"{_LIVE}:_next_needs",
            "return found | _all_read(walk.arm_expressions(arms))",
            "return found",
        ),
    ),
    defect(
        "handlers end at a wait",
        _ROOM,
        "what a wait in a `try` throws is not caught",
        "judge",
        (
            f"{_FLOWS}._suspend",
            'self._draft("wait", self._place)',
            'self._draft("wait", self._place, dataclasses.replace('
            "self._region, handlers=self._region.handlers[1:]))",
        ),
    ),
    defect(
        "late is not dropped",
        _ROOM,
        "`then discard` is forgotten",
        "judge",
        (f"{_FLOWS}._receive", "node.deadline.discard", "False"),
    ),
    defect(
        "deadline is not compiled",
        _ROOM,
        "a wait with a deadline of its own waits for ever",
        "judge",
        (
            f"{_FLOWS}._receive",
            "self._until(node.deadline.duration), node",
            "self._region.until, node",
        ),
    ),
    defect(
        "cases change places",
        _ROOM,
        "the ways of a choice are in the wrong order",
        "judge",
        (
            f"{_FLOWS}._choice",
            "tuple(draft.id for draft in drafts)",
            "tuple(draft.id for draft in reversed(drafts))",
        ),
    ),
    defect(
        "error leaves its sessions",
        _ROOM,
        "the sessions of a block that an error leaves do not end",
        "I8",
        (f"{_FLOWS}._try", "        if opens:\n", "        if opens and not drafts:\n"),
    ),
    defect(
        "round leaves its sessions",
        _ROOM,
        "the sessions that a round of a loop has opened do not end with it",
        "I8",
        ("flowlang.cfg.actions:Actions.leave", "depth >= 0 and any", "depth > 9 and any"),
    ),
    defect(
        "sleep asks nothing",
        _ROOM,
        "a flow that slept does not look whether it is too late",
        "hospital",
        ("flowlang.codegen.steps:Steps._delivered", 'self._page.line("run.woken()")', "pass"),
    ),
    defect(
        "no business key",
        _ROOM,
        "a flow's key is not in what is compiled",
        "I11",
        ("flowlang.cfg.states:machine_of", "key=cfg.key,", "key=None,"),
    ),
)
