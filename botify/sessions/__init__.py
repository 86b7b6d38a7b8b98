"""Keep the open session of each listener.

In: a listener, the track heard. Out: the session so far, and the listener's latest plays, where a
recommender reads them. `local` keeps both in one process, `redis` shares them between processes.
"""
