"""The flow language: text in, state machines out."""

__version__ = "0.1.0"
