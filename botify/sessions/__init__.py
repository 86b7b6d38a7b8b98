"""What each listener has heard in the session under way.

In: a listener, the track heard. Out: the session so far. `local` keeps it in the memory of one
process, `redis` shares it between processes.
"""
