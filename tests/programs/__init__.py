"""Whole random programs, and two ways to run them. Supports tests; no part of the product."""
