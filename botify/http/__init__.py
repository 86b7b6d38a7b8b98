"""HTTP: the server, and the application that it asks.

In: a service (`botify.service`). Out: answers. Read `views` first, which has a view for every
address, then `app`, which asks them by Flask and answers errors; `server` and `connection` last.
"""
