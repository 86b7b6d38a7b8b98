"""What the service is measured against: a bare Flask view that does the same I/O and nothing else.

`/bare/<user>` writes a line of the event log, `/bare-redis/<user>` makes a Redis pipeline's round trip as well. Takes
the Redis URL and the log's folder from BARE_REDIS_URL and BARE_LOG.
"""

import os

import orjson
import redis
from flask import Flask, Response, request

_LINE = (
    b'{"message":"next","timestamp":1735689600000,"user":123456,"track":12345,"time":0.51,"latency":0.000123456,'
    b'"recommendation":23456,"experiments":{"ALL":"C"},"session":"0123456789abcdef","recommender":"indexed",'
    b'"propensity":0.03333333333333333}\n'
)
_TTL_S = 1800

app = Flask(__name__)
_redis = redis.Redis.from_url(os.environ["BARE_REDIS_URL"], protocol=2)
_log = os.open(f"{os.environ['BARE_LOG']}/bare-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@app.post("/bare/<int:user>")
def bare(user: int) -> Response:
    """A log write."""
    return _answer(user)


@app.post("/bare-redis/<int:user>")
def bare_redis(user: int) -> Response:
    """A log write, after the round trip in which a session is appended to and read."""
    key = f"bare:{user}"
    with _redis.pipeline(transaction=False) as pipeline:
        pipeline.rpush(key, request.get_data())
        pipeline.lrange(key, 0, -1)
        pipeline.expire(key, _TTL_S)
        pipeline.execute()
    return _answer(user)


def _answer(user: int) -> Response:
    body = orjson.loads(request.get_data())
    os.write(_log, _LINE)
    return Response(orjson.dumps({"user": user, "track": body["track"]}), mimetype="application/json")
