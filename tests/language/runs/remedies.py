"""A line that is engaged, or broken, for some time or for ever."""

from tests.language.running import Journal


class Line(Journal):
    def __init__(self):
        self.tried = {"twice engaged": 2, "thrice broken": 3}

    def dial(self, tx, who):
        self.write(tx, f"dial {who}")
        if who == "away":
            raise ConnectionError(who)
        if who == "broken":
            raise ValueError(who)
        if self.tried[who]:
            self.tried[who] -= 1
            raise TimeoutError(who) if who == "twice engaged" else KeyError(who)
        return len(who)


def services(program, outside):
    return {"Line": Line()}
