"""The flow language: text in, state machines out."""
