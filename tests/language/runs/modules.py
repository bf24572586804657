"""As many as the name has letters."""


class Stock:
    def on_hand(self, tx, sku):
        return len(sku)


def services(program, outside):
    return {"Stock": Stock()}
