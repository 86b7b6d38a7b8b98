"""The Redis of the service's tests, and the world of the simulator's."""

from tests.botify.conftest import own_redis, redis_url
from tests.sim.conftest import demo_config, demo_model, demo_world

__all__ = ["demo_config", "demo_model", "demo_world", "own_redis", "redis_url"]
