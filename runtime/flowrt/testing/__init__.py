"""Tests of flows: what authors import to try their own programs. Runs no node in production."""
