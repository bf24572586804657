"""The real SQLite store on a disk that loses its power. Supports tests; no part of the product.

`disk` (writes down all that is done to it), `vfs` (SQLite on it), `loss` (what may be left after a
loss of power), `plots` (what goes on meanwhile), `judge` (whether every promise was kept).
"""
