"""Tests that fail on purpose are run by test_blocks.py, which reads what they say."""

collect_ignore_glob = ["*.flow"]
