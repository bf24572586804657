"""The engine: it computes, and touches nothing."""
