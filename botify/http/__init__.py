"""HTTP: the server, and the application that it asks.

In: a service (`botify.service`). Out: answers. Read `views` first, which has a view for every address, then `app`,
which finds the view of a request and answers errors; `server` and `connection` last.
"""
