"""Runs on the tissues of the source method; one module for each page of results."""
