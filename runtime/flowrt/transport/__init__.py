"""How bytes reach a peer."""
