"""The library of flows, as Python: what `flowc` makes of the standard modules."""
