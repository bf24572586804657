"""Flows of money, compiled from `flowlang/stdlib/finance`."""
