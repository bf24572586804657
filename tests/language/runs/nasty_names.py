"""Services with names of Python's own."""

from tests.language.running import Journal

ARGUMENTS = {"self": 1, "self_": 1, "cls": "c", "cls_": "c"}


class Services(Journal):
    def len(self, tx, text):
        return len(text)

    def exec(self, tx, text):
        self.write(tx, text)

    len_, exec_ = len, exec


def services(program, outside):
    return {"Services": Services()}
