"""The Redis of the service's tests."""

from tests.botify.conftest import own_redis, redis_url

__all__ = ["own_redis", "redis_url"]
