"""Tests of flows: `test` blocks run in a world of their own, coverage, the pytest plugin.

Nothing is imported here: the plugin is loaded by every pytest, and most of them run no flow.
"""
