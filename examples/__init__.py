"""Examples that ship with the package, as package data."""
