"""Whole random programs, and two ways to run them. Supports tests; no part of the product.

Written: `generator` (a program), `plans` (declarations, flows' faces), `scripts` (what two flows
say to each other), `writing` and `flows` and `blocks` (one flow), `expressions`, `names` (scopes).
Run: `reference` and `evaluate` in a `world`, straight from the tree; `machine` on nodes, crashing.
Judged: `seen` (all that shows), `trial` (compared), `smaller`, `constructs` (nothing is left out).

A construct of the language is added in `language`, whose opening says how: its `offers`, its
meaning and its counts stand in one module there, and no other has to change.
"""
