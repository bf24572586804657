"""Spoiled programs, and what the compiler must not do with them."""
