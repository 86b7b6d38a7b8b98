"""Keep the open session of each listener.

In: a listener, the track heard. Out: the session so far. `local` keeps it in the memory of one
process, `redis` shares it between processes.
"""
