"""Flows whose step failed: who is there and why, when each is tried again, what people do."""
