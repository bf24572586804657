"""Which variables the rest of a flow still needs, at each block. Knows blocks and actions only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, assert_never

from flowlang import machine, walk
from flowlang.cfg.graph import Block, leads_to

Names: TypeAlias = frozenset[str]
NOTHING: Names = frozenset()


def with_keeps(blocks: Sequence[Block], order: Sequence[str]) -> tuple[Block, ...]:
    """The blocks with their `keeps`, in the `order` in which the variables are declared."""
    needs = needed(blocks)
    rank = {name: place for place, name in enumerate(order)}
    return tuple(
        dataclasses.replace(block, keeps=tuple(sorted(needs[block.id], key=rank.__getitem__)))
        for block in blocks
    )


def needed(blocks: Sequence[Block]) -> Mapping[str, Names]:
    """What each block needs when it is entered; a wait's own delivery is not needed before it."""
    table = {block.id: block for block in blocks}
    before: dict[str, set[str]] = {name: set() for name in table}
    for block in blocks:
        for target in leads_to(block):
            before[target].add(block.id)
    needs: dict[str, Names] = dict.fromkeys(table, NOTHING)
    # Backwards, because needs flow that way; whoever leads to a block that changed is asked again.
    todo = dict.fromkeys(reversed(list(table)))
    while todo:
        name = next(iter(todo))
        del todo[name]
        found = _block_needs(table[name], needs)
        if found != needs[name]:
            needs[name] = found
            todo.update(dict.fromkeys(sorted(before[name], key=int, reverse=True)))
    return needs


def _block_needs(block: Block, needs: Mapping[str, Names]) -> Names:
    caught = NOTHING
    for handler in walk.effective(block.handlers):
        caught |= needs[handler.target] - _named(handler.name)
    live = _next_needs(block.next, needs) | caught
    live = _before(block.actions, live, _Around(caught))
    if block.awaits is not None:
        live = (live - _named(walk.delivered(block.awaits))) | caught
    return live


def _next_needs(following: machine.Next, needs: Mapping[str, Names]) -> Names:
    match following:
        case machine.Goto(target=target):
            return needs[target]
        case machine.Branch(condition=condition, then=then, otherwise=otherwise):
            return needs[then] | needs[otherwise] | walk.reads(condition)
        case machine.Choose(arms=arms, targets=targets):
            found = NOTHING.union(*[needs[target] for target in targets])
            return found | _all_read(walk.arm_expressions(arms))
        case machine.Suspend(wait=wait, target=target):
            return needs[target] | _all_read(walk.wait_expressions(wait))
        case machine.End():
            return NOTHING
        case _:
            assert_never(following)


def _all_read(expressions: Iterable[machine.Expr]) -> Names:
    return NOTHING.union(*[walk.reads(expression) for expression in expressions])


def _named(name: str | None) -> Names:
    return NOTHING if name is None else frozenset((name,))


# --- actions ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Around:
    """What is needed where an action may go but on: to a handler, out of a loop, round it."""

    caught: Names
    broken: Names = NOTHING
    continued: Names = NOTHING


def _before(actions: Iterable[machine.Action], live: Names, around: _Around) -> Names:
    """What is needed before the actions, when `live` is needed after them."""
    for action in reversed(tuple(actions)):
        # An error may leave at any point, so what a handler needs is needed at every point.
        live = _before_one(action, live, around) | around.caught
    return live


def _before_one(action: machine.Action, live: Names, around: _Around) -> Names:
    match action:
        case machine.Assign(name=name, value=value):
            return (live - {name}) | walk.reads(value)
        case machine.Open(name=name, party=party):
            return (live - {name}) | walk.reads(party)
        case machine.Send(session=session, value=value):
            return live | walk.reads(session) | walk.reads(value)
        case machine.Close(session=session):
            return live | walk.reads(session)
        case machine.Leave():
            return live
        case machine.Progress():
            return live | _all_read(walk.expressions(action))
        case machine.Log(text=text):
            return live | walk.reads(text)
        case machine.Do(value=value):
            return live | walk.reads(value)
        case machine.Require(condition=condition, error=error):
            return live | walk.reads(condition) | walk.reads(error)
        case machine.Throw(error=error):
            return walk.reads(error)
        case machine.Return(value=value):
            return NOTHING if value is None else walk.reads(value)
        case machine.If(branches=branches, otherwise=otherwise):
            found = _before(otherwise, live, around)
            for condition, body in reversed(branches):
                found = walk.reads(condition) | _before(body, live, around) | found
            return found
        case machine.While():
            return _before_while(action, live, around)
        case machine.For():
            return _before_for(action, live, around)
        case machine.Break():
            return around.broken
        case machine.Continue():
            return around.continued
        case machine.Try(body=body, catches=catches):
            caught = around.caught
            for catch in catches:
                caught |= _before(catch.body, live, around) - _named(catch.name)
            return _before(body, live, dataclasses.replace(around, caught=caught)) | caught
        case machine.Check(body=body):
            return _before(body, live, around)
        case _:
            assert_never(action)


def _before_while(loop: machine.While, live: Names, around: _Around) -> Names:
    endless = loop.condition == machine.Const("Bool", True)
    head = walk.reads(loop.condition) | (NOTHING if endless else live)
    while True:
        inner = _Around(around.caught, broken=live, continued=head)
        found = head | _before(loop.body, head, inner)
        if found == head:
            return head
        head = found


def _before_for(loop: machine.For, live: Names, around: _Around) -> Names:
    head = live
    while True:
        inner = _Around(around.caught, broken=live, continued=head)
        found = head | (_before(loop.body, head, inner) - {loop.name})
        if found == head:
            return head | walk.reads(loop.values)
        head = found
