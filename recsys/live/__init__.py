"""The ranker of the service's recommender `live`, learned from plays in their order.

In: the plays of a session store, and the artists of tracks. Out: `live.npz`, if the ranker beats
simple rules. Read `ranker` first (closeness of tracks, and the trees), then `gate` (the comparison
with the rules) and `export`; `sessions` reads the store.
"""
