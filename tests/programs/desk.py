"""The Python that generated programs call on a node: functions, and the service `Desk`.

The reference interpreter says the same in its own words; see `evaluate`. What is `Called` by one
construct alone is with that, in `language`.
"""

from __future__ import annotations

import sys
from types import MethodType, ModuleType
from typing import Any

from tests.programs import language

FUNCTIONS = "program_functions"
"""The module in which generated programs look for their functions."""


Generated = dict[str, Any]
"""The generated classes of all modules, by their short names."""


class Functions(ModuleType):
    """That module, made for the generated classes that it returns and throws."""

    def __init__(self, generated: Generated) -> None:
        super().__init__(FUNCTIONS)
        self.generated = generated
        for entry in language.called().values():
            if entry.is_function:
                setattr(self, entry.name, MethodType(entry.on_nodes, self))
        sys.modules[FUNCTIONS] = self

    def half(self, n: int) -> int:
        return n // 2

    def shout(self, words: str) -> str:
        return words.upper()

    def fits(self, n: int) -> bool:
        return n % 3 != 2

    def picky(self, n: int) -> int:
        if n % 4 == 3:
            raise self.generated["Picky"](n)
        return n

    def plus(self, n: int, by: int) -> int:
        return n % 1000 + by % 1000

    def decide(self, n: int) -> Any:
        if n % 3 == 0:
            return self.generated["Decision_Approved"]("desk", n)
        if n % 3 == 1:
            return self.generated["Decision_Counted"](n)
        return self.generated["Decision_Pending"]()

    def swap(self, pair: Any) -> Any:
        return type(pair)(pair.right, pair.left)


class Desk:
    """Answers from its arguments and from what this flow has in the journal."""

    def __init__(self, generated: Generated) -> None:
        self.generated = generated
        for entry in language.called().values():
            if not entry.is_function:
                setattr(self, entry.name, MethodType(entry.on_nodes, self))

    def setup(self, tx: Any) -> None:
        tx.execute("CREATE TABLE IF NOT EXISTS journal (flow INTEGER NOT NULL, line TEXT NOT NULL)")
        tx.execute("CREATE TABLE IF NOT EXISTS told (n INTEGER PRIMARY KEY)")

    def count(self, tx: Any) -> int:
        [(rows,)] = tx.execute("SELECT count(*) FROM journal WHERE flow = ?", (tx.flow_id,))
        assert isinstance(rows, int)
        return rows

    def coin(self, tx: Any, n: int) -> bool:
        return (n + self.count(tx)) % 2 == 0

    def label_of(self, tx: Any, n: int) -> str:
        return f"n{n}"

    def note(self, tx: Any, line: str) -> None:
        tx.execute("INSERT INTO journal VALUES (?, ?)", (tx.flow_id, line))

    def take(self, tx: Any, n: int) -> int:
        self.note(tx, f"take {n}")
        return self.count(tx)

    def claim(self, tx: Any, n: int) -> Any:
        if n % 3 == 2:
            raise self.generated["Taken"](n)
        self.note(tx, f"claim {n}")
        return self.generated["Pair"](self.count(tx), n)
