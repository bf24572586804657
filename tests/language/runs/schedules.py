"""Watched for three days."""

HOURS = 3 * 24
