"""One module for each table or figure of the source; each has `run(bench)`, which returns its part of the page."""
