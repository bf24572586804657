"""Dave has another program."""

STRANGERS = ("dave",)
