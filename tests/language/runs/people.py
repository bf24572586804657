"""A buyer and a manager."""


class Carrier:
    def __init__(self, outside):
        self.outside = outside

    def book(self, key, sku):
        self.outside.do(key, f"book {sku}")
        return f"label of {sku}"


def services(program, outside):
    return {"Carrier": Carrier(outside)}


def answer(program, task):
    if task.role == "buyer":
        return program.Approval(task.question.sku == "bolt", f"for {task.question.sku}")
    return program.Word("fine") if task.role == "manager" else None
