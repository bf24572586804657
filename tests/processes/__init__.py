"""Real processes of two parties that are killed, stopped and put on a full disk.

`supervisor` forks them, carries their packets, asks as their clients do, and holds what they do
outside; `party` is one process; `points` are the places where it dies; `campaign` says who dies
where; `scenarios` are single stories; `ends` looks at what is left, with nothing of the engine.
"""
