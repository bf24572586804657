"""The ledger's flows and values, as Python."""
