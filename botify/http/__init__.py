"""HTTP: the application and its blueprints.

In: a service (`botify.service`). Out: a WSGI application. Read `playback` first, which answers `/next` and `/last`,
then `app`, which answers plain requests of one listener without Flask's routing, and `operations`.
"""
