"""Real processes of two parties that are killed, stopped and put on a full disk.

`supervisor` forks them, carries their packets, asks as their clients do, and holds what they do
outside; `party` is one process; `points` are the places where it dies; `ends` looks at what is left,
with nothing of the engine. Rooms of tests: the product knows none of this.
"""
