"""Whom the desk knows, and what it writes down."""

from tests.language.running import Journal


class Desk(Journal):
    def is_known(self, tx, name):
        return name in ("eve", "bob")

    def note(self, tx, text):
        self.write(tx, text)


def services(program, outside):
    return {"Desk": Desk()}
