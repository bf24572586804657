"""Random pairs of flows, judged by the protocol check, by SPIN and by the runtime itself.

`tree` is what a pair is, `conversation` makes pairs that fit, `mutations` spoils them, `writing`
writes them as `.flow`. `graph` reads a pair anew, for `promela` alone: nothing here shares a line
with `flowlang.protocol`. `following` goes along a run that the check shows, `playing` plays it.
"""
