"""HTTP: the application and its blueprints.

In: a service (`botify.service`). Out: a WSGI application. Read `app` first, then `playback`, which answers `/next` and
`/last`; `fast_path` answers well-formed requests of one listener without Flask's routing.
"""
