"""What the comparison of both sides of a session costs: flows made to be large, or many."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from flowlang import protocol
from flowlang.compiler import compile_modules
from flowlang.machine import Module
from flowlang.source import Source

WORDS = '''"""What is said."""

message Ask:
    n: Int

message Answer:
    n: Int

message Stop:
    n: Int
'''


def conversation(name: str, states: int) -> str:
    """Two flows of so many waits each, with a choice in every tenth."""
    left = [
        f"flow {name}(peer: Party):",
        "    startable by rpc",
        f"    open {name}Reply with peer as s",
    ]
    right = [f"flow {name}Reply():", f"    responds to {name} as s"]
    for number in range(states):
        left += ["    send Ask(1) to s", f"    receive a{number}: Answer from s unchecked"]
        if number % 10:
            right.append(f"    receive a{number}: Ask from s unchecked")
        else:
            right += ["    receive from s:", f"        case Ask as a{number} unchecked:"]
            right += ["            pass", f"        case Stop as b{number} unchecked:"]
            right.append("            return")
        right.append("    send Answer(1) to s")
    return "\n".join([*left, "", *right, ""])


def hub(workers: int) -> str:
    """A flow with so many sessions by name and as many in a group, ten rounds with all of them."""
    lines = ["flow Hub(peer: Party, peers: List[Party]):", "    startable by rpc"]
    lines.append("    open Member with each peers as group")
    lines += [f"    open Worker with peer as s{n}" for n in range(workers)]
    for turn in range(10):
        lines.append("    send Ask(1) to each group")
        lines += [f"    send Ask(1) to s{n}" for n in range(workers)]
        lines.append(f"    receive g{turn}: Answer from each group unchecked")
        for n in range(workers):
            lines.append(f"    receive a{turn}x{n}: Answer from s{n} unchecked")
    lines += [
        "    send Stop(1) to each group",
        *(f"    send Stop(1) to s{n}" for n in range(workers)),
    ]
    for name in ("Member", "Worker"):
        lines += ["", f"flow {name}():", "    responds to Hub as s", "    while true:"]
        lines += ["        receive from s:", "            case Ask as wish unchecked:"]
        lines += [
            "                send Answer(wish.n) to s",
            "            case Stop as stop unchecked:",
        ]
        lines.append("                return")
    return "\n".join([*lines, ""])


def many(flows: int) -> str:
    """So many flows, in pairs that talk."""
    return "\n".join(conversation(f"Talk{number}", 10) for number in range(flows // 2))


def _compiled(text: str) -> tuple[Mapping[str, Source], Sequence[Module]]:
    sources = {
        "words": Source("words.flow", "words", WORDS),
        "flows": Source("flows.flow", "flows", f"use words: Answer, Ask, Stop\n\n{text}"),
    }
    made = compile_modules(list(sources), sources.get, lambda: sources)
    assert not made.diagnostics, made.diagnostics[0]
    return made.sources, list(made.modules.values())


def _cost(text: str, clock: Callable[[], float], runs: int = 3) -> float:
    """Seconds, of which the compilation is no part; a median."""
    sources, modules = _compiled(text)
    costs = []
    for _ in range(runs):
        gc.collect()
        gc.disable()  # As the command does.
        begun = clock()
        found = protocol.findings(modules[-1], modules, sources)
        costs.append(clock() - begun)
        gc.enable()
        assert not [one for one in found if one.severity == "error"], found[0]
    return statistics.median(costs)


def measure(figures: dict[str, float]) -> None:
    """Adds the figures."""
    figures["protocol_2000_states_s"] = _cost(conversation("Long", 2_000), time.perf_counter)
    figures["protocol_hub_20_s"] = _cost(hub(20), time.perf_counter)
    figures["protocol_200_flows_cpu_s"] = _cost(many(200), time.process_time)
    each = {count: _cost(many(2 * count), time.process_time) / count for count in (100, 400)}
    figures["protocol_cost_per_session_growth"] = each[400] / each[100]
