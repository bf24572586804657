"""Books in which an invoice is settled once somebody writes so."""

from tests.language.running import Journal


class Books(Journal):
    def settled(self, tx, invoice):
        rows = tx.execute("SELECT line FROM journal WHERE line LIKE ?", (f"settle {invoice} %",))
        return int(rows[0][0].rsplit(" ", 1)[1]) if rows else None

    def settle(self, tx, invoice, units):
        self.write(tx, f"settle {invoice} {units}")
        tx.happened("settled", invoice)


def services(program, outside):
    return {"Books": Books()}
