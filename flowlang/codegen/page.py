"""Statements of Python, written one below the other. Knows no flow.

What does not fit into a statement is computed on lines before it, in the order in which it would
have been computed within.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowlang.codegen import words
from flowlang.codegen.layout import Unfit, annotation, long, statement
from flowlang.codegen.trees import (
    AND,
    Atom,
    Chain,
    Prefix,
    Tree,
    alone,
    parts,
    rebuilt,
)

MAX_INDENT = 80
"""Beyond this nothing fits on a line anyway, so nothing is computed before to make it fit."""


class Page:
    """Lines at a growing and shrinking indentation."""

    def __init__(self, indent: int) -> None:
        self.lines: list[str] = []
        self.indent = indent
        self._values = 0

    def line(self, text: str) -> None:
        """A line that is known to fit, or that cannot be cut."""
        self.lines += long(self.indent, "", Atom(text))

    def comment(self, said: str) -> None:
        """A line of comment."""
        self.lines.append(words.comment(self.indent, said))

    def open(self, header: str) -> None:
        """The head of a block, such as `else:`, and its indentation."""
        self.line(header)
        self.indent += 4

    def close(self) -> None:
        """The end of a block; one that is empty gets a `pass`."""
        last = next((line for line in reversed(self.lines) if not _is_comment(line)), "")
        if not last.startswith(" " * self.indent):
            self.line("pass")
        self.indent -= 4

    def put(self, prefix: str, tree: Tree, suffix: str = "") -> None:
        """`prefix tree suffix`, such as `x = …`."""
        self.lines += self._laid(prefix, tree, suffix)

    def constant(self, prefix: str, tree: Tree, suffix: str = "") -> None:
        """`prefix tree suffix` where nothing can be computed before, as in a class."""
        try:
            self.lines += statement(self.indent, prefix, tree, suffix)
        except Unfit:
            self.lines += long(self.indent, prefix, tree, suffix)

    def annotate(self, name: str, kind: Tree) -> None:
        """`name: kind`."""
        try:
            self.lines += annotation(self.indent, f"{name}: ", kind)
        except Unfit:
            self.lines += long(self.indent, f"{name}: ", kind)

    def declare(self, name: str, kind: Tree, tree: Tree) -> None:
        """`name: kind = tree`, or both below each other where that would be hard to cut."""
        prefix = f"{name}: {kind.text} = "
        if self._has_room(prefix, tree):
            self.put(prefix, tree)
        else:
            self.annotate(name, kind)
            self.put(f"{name} = ", tree)

    def declare_once(self, name: str, kind: Tree, tree: Tree) -> None:
        """A field with its default, which stands in one statement or nowhere."""
        prefix = f"{name}: {kind.text} = "
        if self._has_room(prefix, tree):
            self.constant(prefix, tree)
        else:
            self.lines += long(self.indent, prefix, tree)

    def _has_room(self, prefix: str, tree: Tree) -> bool:
        """Whether it is certain that the type before `=` stays in one piece."""
        room = words.WIDTH - self.indent - words.width(prefix)
        return room >= 28 or tree.width <= room

    def clause(self, kinds: Sequence[str], name: str | None) -> None:
        """`except A as name:`, or of several kinds, and its indentation."""
        tail = ":" if name is None else f" as {name}:"
        listed = kinds[0] if len(kinds) == 1 else f"({', '.join(kinds)})"
        line = f"except {listed}{tail}"
        if len(kinds) == 1 or self.indent + words.width(line) <= words.WIDTH:
            self.open(line)
            return
        margin = " " * self.indent
        inner = [f"{margin}    {kind}," for kind in kinds]
        self.lines += [f"{margin}except (", *inner, f"{margin}){tail}"]
        self.indent += 4

    def test(self, keyword: str, tree: Tree) -> bool:
        """`if tree:` and the like, and its indentation. False if a part of the test had to go
        before it, so that nobody sees what the test shows."""
        direct = True
        while self.indent <= MAX_INDENT:
            try:
                self.lines += statement(self.indent, f"{keyword} ", tree, ":")
                break
            except Unfit as unfit:
                direct = False
                whole = unfit.part is tree
                tree = self.value(tree) if whole else self._lifted(tree, unfit.part)
        else:
            self.lines += long(self.indent, f"{keyword} ", tree, ":")
        self.indent += 4
        return direct

    def fits(self, keyword: str, tree: Tree) -> bool:
        """Whether `keyword tree:` needs no line before it."""
        if self.indent > MAX_INDENT:
            return True
        try:
            statement(self.indent, f"{keyword} ", tree, ":")
        except Unfit:
            return False
        return True

    def value(self, tree: Tree) -> Atom:
        """The value of an expression in a variable of its own."""
        self._values += 1
        name = Atom("_value" if self._values == 1 else f"_value_{self._values}")
        if isinstance(tree, Chain) and tree.lazy and not self._is_plain(name, tree):
            self._lazy(name, tree)
        else:
            self.put(f"{name.text} = ", tree)
        return name

    def _is_plain(self, name: Atom, tree: Chain) -> bool:
        try:
            statement(self.indent, f"{name.text} = ", tree)
        except Unfit:
            return False
        return True

    def _lazy(self, name: Atom, tree: Chain) -> None:
        """`a and b` where both are long: `b` is computed only if it is needed."""
        self.put(f"{name.text} = ", tree.operands[0])
        test: Tree = name if tree.strength == AND else Prefix("not", name)
        for operand in tree.operands[1:]:
            self.test("if", test)
            self.put(f"{name.text} = ", alone(operand))
            self.close()

    def _laid(self, prefix: str, tree: Tree, suffix: str) -> list[str]:
        while self.indent <= MAX_INDENT:
            try:
                return statement(self.indent, prefix, tree, suffix)
            except Unfit as unfit:
                if unfit.part is not tree:
                    tree = self._lifted(tree, unfit.part)
                elif isinstance(tree, Chain) and tree.lazy:
                    tree = self.value(tree)
                else:
                    break
        return long(self.indent, prefix, tree, suffix)

    def _lifted(self, tree: Tree, part: Tree) -> Tree:
        """`tree` with `part` computed before it, after all that would have been computed first."""
        around = []
        for outer, at in _way_to(tree, part):
            within = parts(outer)
            before = [one if one.quiet else self.value(one) for one in within[:at]]
            around.append((outer, before, within[at + 1 :]))
        made: Tree = self.value(part)
        for outer, before, after in reversed(around):
            made = rebuilt(outer, (*before, made, *after))
        return made


def _way_to(tree: Tree, part: Tree) -> list[tuple[Tree, int]]:
    """From the whole to the part: each node on the way, and which of its parts leads on."""
    todo: list[tuple[Tree, int, int]] = [(tree, -1, -1)]
    seen: list[tuple[Tree, int, int]] = []
    while todo:
        at = todo.pop()
        seen.append(at)
        if at[0] is part:
            break
        here = len(seen) - 1
        todo += [(one, here, number) for number, one in enumerate(parts(at[0]))]
    way = []
    _, parent, number = seen[-1]
    while parent >= 0:
        way.append((seen[parent][0], number))
        _, parent, number = seen[parent]
    return way[::-1]


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
