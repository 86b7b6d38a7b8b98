"""Limits of the service. None is a setting, as no deployment has needed another value."""

BODY_BYTES = 2**20  # of a request: a batch of 10,000 has about 500,000
BODIES_BYTES = 8 * BODY_BYTES  # of all requests of a process that are under way
CHUNK_BYTES = (
    512  # the least that a chunk of a body counts as: reading it takes time, too
)
BODY_S = 10.0  # until a whole body has come, as in `nginx.conf`
HEADER_S = 30.0  # until a head has come, and between requests of a connection
WAIT_S = 5.0  # for a free thread; nginx and most clients give up after 10
CONNECTIONS = 8192  # of each process; the others wait until one is closed
THREADS = 2  # for the next track; more only wait for Python's lock
BATCH = 10_000  # listeners in one request
STOP_S = 10  # for the requests under way at the end; Docker and Kubernetes kill later
REDIS_S = 0.075  # after which an answer goes on without Redis
# Remembered listeners: how many without Redis, and for how long after a play in Redis
MEMORY_LISTENERS = 100_000
MEMORY_DAYS = 90
# A segment of the event log is closed at this size and at this age.
SEGMENT_BYTES = 64 * 2**20
SEGMENT_AGE_S = 3600.0
WATCH_S = (
    1.0  # between two checks for a new version: a check reads one link and one time
)
