"""HTTP: the server, and the application that it asks.

In: a service (`botify.service`). Out: answers. Read `views` first, which has a function for every address, then `app`,
which finds it and answers errors; `server` and `connection` last.
"""
