"""Where flows are kept."""
