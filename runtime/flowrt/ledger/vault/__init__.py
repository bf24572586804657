"""The vault: what a node keeps of the ledger, in its own database. Knows no flow and no peer.

`service` is what flows call; each of the other modules owns one part of it and its SQL.
"""
