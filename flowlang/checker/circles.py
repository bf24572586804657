"""Circles in a graph: which nodes lead back to themselves. Knows nothing of what the nodes are."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other, each in the graph's order.

    Tarjan's algorithm with its own stack: a file may declare a chain of thousands.
    """
    order = {node: number for number, node in enumerate(graph)}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: list[list[str]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        while work:
            node, rest = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                path.append(node)
                on_path.add(node)
            for after in rest:
                if after not in graph:
                    continue
                if after not in index:
                    work.append((after, iter(graph[after])))
                    break
                if after in on_path:
                    low[node] = min(low[node], index[after])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == index[node]:
                    group = _cut(path, on_path, node)
                    if len(group) > 1 or node in graph[node]:
                        found.append(sorted(group, key=order.__getitem__))
    return found


def _cut(path: list[str], on_path: set[str], node: str) -> list[str]:
    at = len(path) - 1
    while path[at] != node:
        at -= 1
    group = path[at:]
    del path[at:]
    on_path.difference_update(group)
    return group


def way_round(graph: Mapping[str, Collection[str]], start: str) -> list[str]:
    """A shortest way from `start` back to it, without the return itself."""
    before: dict[str, str] = {}
    reached = [start]
    for node in reached:
        if start in graph[node]:
            way = [node]
            while way[-1] != start:
                way.append(before[way[-1]])
            return way[::-1]
        for after in graph[node]:
            if after in graph and after not in before and after != start:
                before[after] = node
                reached.append(after)
    return [start]
