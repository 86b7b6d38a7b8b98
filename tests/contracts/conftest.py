"""The Redis of the service's tests."""

from tests.botify.conftest import redis_url

__all__ = ["redis_url"]
