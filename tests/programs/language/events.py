"""Events of a service: `await Desk.seen(n)`, begun before it is told and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.programs.arithmetic import Value
from tests.programs.choices import chance
from tests.programs.entries import Called
from tests.programs.kinds import INT
from tests.programs.names import NOT_READ, Variable

if TYPE_CHECKING:
    from tests.programs.evaluate import Evaluator
    from tests.programs.flows import Flows


# --- written ---


def told(flow: Flows) -> None:
    """Who waits tells it himself: whoever else does so at his party makes no difference then."""
    number = flow.choices.below(30)
    if chance(flow.choices, 30):
        flow.line(f"Desk.tell({number})")
        flow.bind(f"await Desk.seen({number})", INT)
        return
    name = flow.names.fresh(("sight", "event", "news"))
    flow.line(f"let {name} = pending await Desk.seen({number})")
    flow.names.declare(Variable(name, NOT_READ, fixed=True))
    flow.line(f"Desk.tell({number})")
    flow.line("receive:")
    flow.line(f"    case result {name} as found:")
    flow.line('        Desk.note("{found}")')


# --- run ---


def _seen_on_nodes(desk: object, tx: Any, n: int) -> int | None:
    rows = tx.execute("SELECT 1 FROM told WHERE n = ?", (n,))
    return n * 3 - 7 if rows else None


def _seen(evaluator: Evaluator, values: list[Value]) -> Value:
    (number,) = values
    assert isinstance(number, int)
    return number + number + number - 7


def _tell_on_nodes(desk: object, tx: Any, n: int) -> None:
    tx.execute("INSERT OR IGNORE INTO told VALUES (?)", (n,))
    tx.happened("seen", n)


def _tell(evaluator: Evaluator, values: list[Value]) -> Value:
    return None


# --- known ---

ENTRIES = (
    Called("event seen(n: Int) -> Int", on_nodes=_seen_on_nodes, meant=_seen),
    Called("write tell(n: Int)", on_nodes=_tell_on_nodes, meant=_tell),
)
