"""The grammar of the flow language, as package data."""
