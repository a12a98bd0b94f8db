"""One deconvolution method a file; each holds its ``CARD``."""
