"""Telling people and programs of the questions that flows ask: what is told, and to whom."""
