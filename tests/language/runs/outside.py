"""Stock that runs out, and a carrier who loses things."""

from tests.language.running import Journal


class Stock(Journal):
    def __init__(self, program, outside):
        self.program = program
        self.outside = outside
        self.failures = 0

    def on_hand(self, tx, sku):
        return len(sku)

    def reserve(self, tx, sku, count):
        if count > 50:
            raise self.program.Short(50)
        self.write(tx, f"reserve {sku} {count}")

    def number(self, tx):
        self.write(tx, "number")
        return len(tx.execute("SELECT line FROM journal WHERE line = 'number'", ()))

    def ship(self, key, order, count):
        if order == "lost":
            raise self.program.Lost(order)
        self.outside.do(key, f"ship {order} {count}")
        return f"label of {order}"

    def pay(self, key, total):
        self.outside.do(key, f"pay {total}")

    async def tell(self, key, text):
        self.outside.do(key, f"tell {text}")


def services(program, outside):
    return {"Stock": Stock(program, outside)}
