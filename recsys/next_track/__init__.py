"""The next track of a session, learned from sessions as people have them.

In: the plays of a session store in their order, and the artists of tracks. Out: a file for the
service's recommender `next_track`. Read `model` first (closeness, and what is recommended), then
`score` (the comparison with simple rules) and `export`; `sessions` reads the store.
"""
