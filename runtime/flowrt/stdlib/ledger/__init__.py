"""Flows on a ledger: what their modules say is in `flowlang/stdlib/ledger`."""
