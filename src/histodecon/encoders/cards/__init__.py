"""One file for each family of encoders; each holds ``CARDS``."""
