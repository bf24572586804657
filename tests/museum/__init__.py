"""Stores that releases wrote, kept for good: each must be loaded and run, or refused by name.

A piece is a folder of `pieces`, named after the release and its store's format: the program as it
was (`museum.flow`), the code that this release generated of it, and the two parties' databases,
packed. In them flows rest in every kind of wait. `python -m tests.museum add NAME` adds what this
release writes; nothing in a piece is ever changed.
"""
