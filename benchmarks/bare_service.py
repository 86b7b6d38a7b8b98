"""What the service is measured against: a bare Flask view under the same server and adapter.

It does the same I/O and nothing else: it writes a line of the event log into the folder BARE_LOG,
after the round trip to the Redis of BARE_REDIS_URL in which a session is appended to and read;
without a URL there is no round trip.
"""

import os

import orjson
import redis
from flask import Flask, Response, request

from botify.asgi import BufferedApp

_LINE = (
    b'{"message":"next","timestamp":1735689600000,"user":123456,"track":12345,"time":0.51,"latency":0.000123456,'
    b'"recommendation":23456,"experiments":{"ALL":"C"},"session":"0123456789abcdef","recommender":"indexed",'
    b'"propensity":0.03333333333333333}\n'
)
_TTL_S = 1800

app = Flask(__name__)
_url = os.environ["BARE_REDIS_URL"]
_redis = redis.Redis.from_url(_url, protocol=2) if _url else None
_log = os.open(
    f"{os.environ['BARE_LOG']}/bare-{os.getpid()}",
    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
)


@app.post("/next/<int:user>")
@app.post("/last/<int:user>")
def bare(user: int) -> Response:
    """Answer with the listener's own track."""
    content = request.get_data()
    if _redis:
        key = f"bare:{user}"
        with _redis.pipeline(transaction=False) as pipeline:
            pipeline.rpush(key, content)
            pipeline.lrange(key, 0, -1)
            pipeline.expire(key, _TTL_S)
            pipeline.execute()
    os.write(_log, _LINE)
    return Response(
        orjson.dumps({"user": user, "track": orjson.loads(content)["track"]}),
        mimetype="application/json",
    )


server = BufferedApp(app, lambda: None)
