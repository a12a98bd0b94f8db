"""A Hub on this machine for the tests of models that are shared."""

from hub_fixtures import cache, hub, no_network

__all__ = ["cache", "hub", "no_network"]
