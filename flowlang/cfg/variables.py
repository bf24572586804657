"""The names that a flow's variables have in its machine: one name, one variable, one type."""

from __future__ import annotations

from flowlang import machine, types


class Variables:
    """Hands out names: the author's own where it is free, `name_2` where two blocks have it."""

    def __init__(self, checked: types.Checked) -> None:
        self._checked = checked
        self._names: dict[types.Variable, str] = {}
        self._hidden: dict[types.Variable, str] = {}
        self._all: dict[str, machine.Variable] = {}
        # A name that is made up must be none that the file uses anywhere, so that nothing hides it.
        self._written = {variable.name for variable in checked.variable_of.values()}
        self._written.update(checked.scope)

    def bind(self, node: object) -> str:
        """The name of the variable that a parameter, statement or catch declares."""
        variable = self._checked.variable_of[node]
        if variable not in self._names:
            name = variable.name
            self._names[variable] = self._add(
                name if name not in self._all else self._free(name), variable.type
            )
        return self._names[variable]

    def hidden(self, stem: str, kind: types.Type) -> str:
        """A variable that the author did not write."""
        free = stem not in self._all and stem not in self._written
        return self._add(stem if free else self._free(stem), kind)

    def stand_in(self, variable: types.Variable, name: str | None) -> str:
        """From here on `variable`, of a text outside of the flow, is `name`; without one, a hidden
        variable, always the same."""
        if name is None:
            if variable not in self._hidden:
                self._hidden[variable] = self.hidden(variable.name, variable.type)
            name = self._hidden[variable]
        self._names[variable] = name
        return name

    def name_of(self, variable: types.Variable) -> str:
        """The name of a variable that is bound already."""
        return self._names[variable]

    def type_of(self, name: str) -> types.Type:
        """The type of a variable of the machine."""
        return self._all[name].type

    def all(self) -> tuple[machine.Variable, ...]:
        """Every variable so far, in the order of declaration."""
        return tuple(self._all.values())

    def _add(self, name: str, kind: types.Type) -> str:
        self._all[name] = machine.Variable(name, kind)
        return name

    def _free(self, stem: str) -> str:
        number = 2
        while (name := f"{stem}_{number}") in self._all or name in self._written:
            number += 1
        return name
