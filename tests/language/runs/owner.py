"""What the application sends."""

ARGUMENTS = {"goal": 50}


def commands(program):
    return [
        program.Pay(20),
        program.Pay(25),
        program.Stop("enough"),
        program.Stop("more"),
        program.Pay(1),
        program.Pay(2),
    ]
