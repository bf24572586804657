"""A judge, an owner who asks, a carrier."""


class Carrier:
    def __init__(self, program):
        self.program = program

    def book(self, key, n):
        return self.program.Verdict_Good(n)


def services(program, outside):
    return {"Carrier": Carrier(program)}


def answer(program, task):
    return program.Approval(program.Verdict_Poor()) if task.role == "judge" else None


def commands(program):
    return [program.Ask(5), program.Ask(6)]
