"""HTTP: the server, and the application that it asks.

In: a service (`botify.service`). Out: answers. Read `playback` first, which answers `/next` and `/last`, then `app`,
which answers requests of one listener without Flask's routing, and `operations`; `server` and `connection` last.
"""
