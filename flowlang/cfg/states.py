"""Blocks to a machine: its states named for people, numbered for checkpoints, in source order.

Knows no statement and no Python; what a block does, it passes on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

from flowlang.cfg.graph import Block, Cfg
from flowlang.machine import (
    Arm,
    AwaitAnswer,
    AwaitCheckpoint,
    AwaitChoice,
    AwaitEach,
    AwaitMessage,
    AwaitMoment,
    AwaitOperator,
    AwaitResult,
    AwaitResults,
    AwaitSubflow,
    AwaitTime,
    Came,
    Done,
    Machine,
    Request,
    State,
    Var,
    Wait,
    retargeted,
)


def machine_of(cfg: Cfg) -> Machine:
    """The blocks of a flow as states: named for people, numbered for checkpoints, in the order of
    the source."""
    names = _names(cfg)
    tag = 0
    states = []
    for block in cfg.blocks:
        rests = block.awaits is not None or block.kind == "start"
        keeps = block.keeps
        if block.kind == "start":
            keeps = tuple(parameter.name for parameter in cfg.parameters)
        states.append(_state(block, names, tag if rests else None, keeps if rests else ()))
        tag += rests
    return Machine(
        name=cfg.name,
        version=cfg.version,
        doc=cfg.doc,
        parameters=cfg.parameters,
        result=cfg.result,
        responds_to=cfg.responds_to,
        startable=cfg.startable,
        steps=cfg.steps,
        variables=cfg.variables,
        states=tuple(states),
        place=cfg.place,
        families=cfg.families,
        owner=cfg.owner,
        commands=cfg.commands,
        key=cfg.key,
        remedies=cfg.remedies,
        plays=cfg.plays,
        roles=cfg.roles,
    )


def _state(
    block: Block, names: Mapping[str, str], tag: int | None, keeps: tuple[str, ...]
) -> State:
    return State(
        name=names[block.id],
        tag=tag,
        awaits=block.awaits,
        keeps=keeps,
        actions=block.actions,
        next=retargeted(block.next, names),
        handlers=tuple(
            msgspec.structs.replace(handler, target=names[handler.target])
            for handler in block.handlers
        ),
        place=block.place,
        checks=block.checks,
    )


def _names(cfg: Cfg) -> dict[str, str]:
    """A name for each block. What an author gave stays as it is, even if it comes later."""
    names: dict[str, str] = {}
    taken: set[str] = {"Start"}
    for block in cfg.blocks:
        if block.given is not None:
            names[block.id] = _free(_camel(block.given), "", taken)
    for block in cfg.blocks:
        if block.kind == "start":
            names[block.id] = "Start"
        elif block.awaits is None:
            names[block.id] = _free(f"{block.kind}_{block.place.line}", "_", taken)
        elif block.id not in names:
            names[block.id] = _free(_awaits(block.awaits), "", taken)
    return names


def _free(name: str, joint: str, taken: set[str]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}{joint}{number}"
    taken.add(free)
    return free


MAX_NAMED = 3
"""Messages after which a choice between them is named; more of them are `Other`."""


def _choice(arms: tuple[Arm, ...]) -> str:
    named = list(dict.fromkeys(name for name in map(_arm, arms) if name)) or ["End"]
    if len(named) > MAX_NAMED:
        named = [*named[: MAX_NAMED - 1], "Other"]
    return "Await" + "Or".join(named)


def _arm(arm: Arm) -> str | None:
    """What a state is named after, of the things that it waits for."""
    match arm:
        case Came(type=message):
            return message.rpartition(".")[2]
        case Done(call=Var(name=name)):
            return _camel(name)
        case _:
            return None


def _awaits(wait: Wait) -> str:
    match wait:
        case AwaitMessage(type=message):
            return "Await" + message.rpartition(".")[2]
        case AwaitEach(type=message):
            return "AwaitEach" + message.rpartition(".")[2]
        case AwaitChoice(arms=arms):
            return _choice(arms)
        case AwaitSubflow(flow=flow):
            return "In" + flow.rpartition(".")[2]
        case AwaitResult(call=Request(operation=operation)):
            return "Await" + _camel(operation)
        case AwaitResult():
            return "AwaitFlow"
        case AwaitResults():
            return "AwaitFlows"
        case AwaitAnswer(type=answer):
            return "Ask" + answer.rpartition(".")[2]
        case AwaitCheckpoint():
            return "Checkpoint"
        case AwaitTime():
            return "Asleep"
        case AwaitMoment():
            return "WaitUntil"
        case AwaitOperator():
            return "Held"
        case _:
            assert_never(wait)


def _camel(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))
