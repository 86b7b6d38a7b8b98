"""Limits of the service. None is a setting, as no deployment has needed another value."""

from looplib.event_fields import SESSION_SILENCE_MS

BODY_BYTES = 2**20  # largest body; a batch of 10,000 listeners takes half of it
BODIES_BYTES = 8 * BODY_BYTES  # memory of all bodies in a process
CHUNK_BYTES = 512  # least size that a chunk counts as: reading a chunk takes time, too
BODY_S = 10.0  # until the whole body has come, as in `nginx.conf`
LAST_BODY_S = 1.0  # the same once the service stops
HEADER_S = 30.0  # until the head has come, and between requests of a connection
WAIT_S = 5.0  # longest wait for a thread; nginx and most clients give up after 10
CONNECTIONS = 8192  # connections of a process; later connections wait
THREADS = 2  # threads that answer `/next`; more only wait for Python's lock
BATCH = 10_000  # listeners in a request
STOP_S = 10  # until open requests are answered at the end; Docker kills after 15
REDIS_S = 0.075  # until an answer goes on without Redis
SILENCE_S = SESSION_SILENCE_MS / 1000  # silence after which a session ends
SESSION_TRACKS = 1000  # tracks of a session; after them a new session begins
SESSIONS = 1_000_000  # open sessions in a process without Redis
MEMORY_LISTENERS = 100_000  # listeners whose plays a process remembers without Redis
MEMORY_DAYS = 90  # until Redis forgets the plays of a silent listener
SEGMENT_BYTES = 64 * 2**20  # size at which a segment of the event log is closed
SEGMENT_AGE_S = 3600.0  # age at which a segment is closed
WATCH_S = 1.0  # pause between checks for a new version, each check reads a link
