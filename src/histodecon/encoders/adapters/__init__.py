"""One file an adapter, each with its card."""
