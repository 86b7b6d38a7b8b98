"""The next track of a session, learned from sessions as people have them.

In: the plays of a session store in their order, and the artists of tracks. Out: files for the
service's recommenders `next_track` and `live`. Read `model` first (closeness, and what is
recommended), then `score` (the comparison with simple rules), `live` (a ranker by all plays up to
now) and `export`; `sessions` reads the store.
"""
