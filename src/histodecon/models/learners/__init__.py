"""One learner a file; each holds its class and a ``CARD``."""
