"""A logical line in rows that are not too long: where brackets open up, and where sums part.

A line goes on in a new row only inside brackets. Rows depend on the words and comments alone, never
on where the author had ended them; that is why formatting twice changes nothing more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from flowlang.formatter.lines import Word
from flowlang.formatter.spacing import CLOSERS, OPENERS
from flowlang.parser.tokens import STATEMENT

WIDTH = 100
INDENT = 4
_LOOSEST_FIRST = (
    frozenset({"or"}),
    frozenset({"and"}),
    frozenset({"==", "!=", "<", "<=", ">", ">=", "in"}),
    frozenset("+-"),
    frozenset({"*", "//", "/", "%"}),
)


@dataclasses.dataclass(slots=True)
class Group:
    """A pair of brackets. `items` are parted by `commas`; `commented` where a comment is inside."""

    open: Word
    items: list[list[Node]]
    commas: list[Word]
    close: Word
    commented: bool
    size: int


Node: TypeAlias = Word | Group


def rows(words: Sequence[Word], margin: int) -> list[str]:
    """The rows of a line, without its margin and the comment beside it. A margin has so many
    columns."""
    inside = any(word.above for word in words) or any(word.beside for word in words[:-1])
    flat = _flat(words)
    if margin + len(flat) <= WIDTH and not inside:
        return [flat]
    return _laid(_tree(words), margin)


def width(words: Sequence[Word]) -> int:
    """The width of a line in one row; 0 where comments part it."""
    inside = any(word.above for word in words) or any(word.beside for word in words[:-1])
    return 0 if inside or words[0].kind == "DOC" else len(_flat(words))


def _flat(words: Sequence[Word]) -> str:
    return "".join([f" {word.text}" if word.spaced else word.text for word in words]).lstrip()


def _tree(words: Sequence[Word]) -> list[Node]:
    """The words with brackets as groups."""
    top: list[Node] = []
    stack: list[tuple[Word, list[list[Node]], list[Word]]] = []
    current = top
    for word in words:
        if word.text in OPENERS:
            stack.append((word, [current, []], []))
            current = stack[-1][1][-1]
        elif word.text in CLOSERS and stack:
            opener, items, commas = stack.pop()
            outer = items.pop(0)
            group = Group(opener, [] if items == [[]] else items, commas, word, False, 0)
            group.size = len(_flat(list(_words([group]))))
            group.commented = any(_commented_inside(group))
            outer.append(group)
            current = outer
        elif word.text == "," and stack:
            stack[-1][2].append(word)
            stack[-1][1].append([])
            current = stack[-1][1][-1]
        else:
            current.append(word)
    return top


def _commented_inside(group: Group) -> Iterator[bool]:
    inside = list(_words([group]))
    yield group.open.beside is not None or bool(group.close.above)
    for word in inside[1:-1]:
        yield word.beside is not None or bool(word.above)


def _words(nodes: Sequence[Node]) -> Iterator[Word]:
    """All words again, in order."""
    waiting: list[Node] = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Word):
            yield node
            continue
        inside: list[Node] = [node.open]
        for number, item in enumerate(node.items):
            inside += item
            inside += node.commas[number : number + 1]
        waiting += reversed([*inside, node.close])


# --- brackets that open up --------------------------------------------------------------------


def _laid(nodes: Sequence[Node], margin: int) -> list[str]:
    """Rows for nodes that begin at column `margin`, without that margin."""
    groups = [node for node in nodes if isinstance(node, Group) and node.items]
    opened = {id(node) for node in nodes if isinstance(node, Group) and node.commented}
    closed = [group for group in groups if id(group) not in opened and not _stuck(group)]
    while closed and not _short(nodes, opened, margin):
        best = _best(nodes, closed, opened, margin)
        closed.remove(best)
        opened.add(id(best))
    found = [""]
    for node in nodes:
        _add(found, node)
        if isinstance(node, Group) and id(node) in opened:
            _open(found, node, margin)
    return found


def _short(nodes: Sequence[Node], opened: set[int], margin: int) -> bool:
    """Whether no row is too long that is not inside one of the brackets to be opened up."""
    length = margin
    for node in nodes:
        if isinstance(node, Word):
            length += node.spaced + len(node.text)
        elif id(node) not in opened:
            length += node.size
        elif length + node.open.spaced + 1 > WIDTH:
            return False
        else:
            length = margin + 1
    return length <= WIDTH


def _best(nodes: Sequence[Node], closed: list[Group], opened: set[int], margin: int) -> Group:
    """The bracket to open up next: the last one that makes the rest short enough."""
    plain = [group for group in closed if group.open.spaced or group.open.text != "["]
    for group in reversed(plain):
        if _short(nodes, {*opened, id(group)}, margin):
            return group
    return max(plain or closed, key=lambda group: group.size)


def _stuck(group: Group) -> bool:
    """Whether an item may not begin a row: the lexer would take it for a new statement, before
    which somebody forgot to close the bracket."""
    return any(STATEMENT.match(_flat(list(_words(item)))) for item in group.items)


def _add(found: list[str], node: Node) -> None:
    """Adds a node to the last row: of brackets the first one, if they will be opened up."""
    words = [node] if isinstance(node, Word) else list(_words([node]))
    space = " " if words[0].spaced and found[-1].strip() else ""
    found[-1] += space + _flat(words)


def _open(found: list[str], group: Group, margin: int) -> None:
    """Replaces the brackets that end the last row by their items in rows of their own."""
    flat = _flat(list(_words([group])))
    found[-1] = found[-1].removesuffix(flat) + group.open.text
    pad = " " * (len(found[-1]) - len(found[-1].lstrip())) if len(found) > 1 else ""
    deeper = pad + " " * INDENT
    if _stuck(group):
        words = list(_words([group]))
        found[-1] += _flat(words[1:-1])
        found += [deeper + comment for comment in _comments(words)]
    else:
        found += [deeper + row for row in _items(group, margin + len(deeper))]
    found.append(pad + group.close.text)


def _comments(words: Sequence[Word]) -> Iterator[str]:
    """The comments between the first word and the last."""
    for number, word in enumerate(words):
        yield from word.above if number else ()
        if word.beside and number < len(words) - 1:
            yield word.beside


def _items(group: Group, margin: int) -> Iterator[str]:
    """What stands between the brackets."""
    if group.open.beside:
        yield group.open.beside
    alone = len(group.items) == 1 and group.open.text == "(" and group.open.spaced
    for number, item in enumerate(group.items):
        words = list(_words(item))
        yield from words[0].above
        last = number == len(group.items) - 1
        beside = [words[-1].beside] if words[-1].beside else []
        if not last:
            comma = group.commas[number]
            beside += [*comma.above, *([comma.beside] if comma.beside else [])]
        words[0].above, words[-1].beside = (), None
        laid = _item(item, margin, 0 if alone else INDENT)
        if not last or group.close.open_ended:
            laid[-1] += ","
        if beside:
            laid[-1] += f"  {beside[0]}"
        yield from [*laid, *beside[1:]]
    yield from group.close.above


def _item(item: Sequence[Node], margin: int, extra: int) -> list[str]:
    """The rows of one item. From the second row on, a sum stands further in by `extra`."""
    words = list(_words(item))
    flat = _flat(words)
    if any(word.above or word.beside for word in _outer(item)):
        return _as_commented(item, margin)
    commented = any(isinstance(node, Group) and node.commented for node in item)
    if margin + len(flat) + 1 <= WIDTH and not commented:
        return [flat]
    pad = ""
    found: list[str] = []
    for part in _parts(item):
        found += [pad + row for row in _laid(part, margin + len(pad))]
        pad = " " * extra
    return found


def _outer(item: Sequence[Node]) -> Iterator[Word]:
    """The words whose comments are not inside brackets."""
    for node in item:
        if isinstance(node, Word):
            yield node
        else:
            yield Word("", "", False, False, above=node.open.above, beside=node.close.beside)


def _parts(item: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """An item parted before the operators that bind least; as a whole where it has none."""
    for operators in _LOOSEST_FIRST:
        starts = [
            number
            for number, node in enumerate(item)
            if isinstance(node, Word)
            and node.text in operators
            and not node.name
            and number > 0
            and number + 1 < len(item)
            and _first(item[number + 1]).spaced
        ]
        if starts:
            for start, end in zip([0, *starts], [*starts, len(item)], strict=True):
                yield item[start:end]
            return
    yield item


def _first(node: Node) -> Word:
    return node if isinstance(node, Word) else node.open


def _as_commented(item: Sequence[Node], margin: int) -> list[str]:
    """The rows of an item with comments between its words: a row ends at each of them."""
    found = [""]
    pad = " " * INDENT
    for node in item:
        first, last = _first(node), node if isinstance(node, Word) else node.close
        if first.above:
            found += [*(pad + comment for comment in first.above), pad]
        _add(found, node)
        if isinstance(node, Group) and node.commented:
            _open(found, node, margin)
        if last.beside:
            found[-1] += f"  {last.beside}"
            found.append(pad)
    return [row for row in found if row.strip()]
