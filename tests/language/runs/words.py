"""A book whose operations have odd names, some of them words of Python."""

from tests.language.running import Journal


class Book(Journal):
    def note(self, tx, to):
        self.write(tx, to)

    def find(self, tx, number):
        return number

    def both(self, tx, left, right):
        return left + right


def services(program, outside):
    book = Book()
    for name, method in {"from": book.find, "import": book.note, "is": book.both}.items():
        setattr(book, name, method)
        setattr(book, f"{name}_", method)
    return {"Book": book}
