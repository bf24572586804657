"""The runtime of compiled flows: durable, one commit a step."""
