"""Whole random programs, and two ways to run them: support for the tests, not part of the product."""
