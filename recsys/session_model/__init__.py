"""Fit the session model: how long a track is heard, given who listens and the organic track.

In: a session store, and ALS factors. Out: the arrays of `looplib.session_model`, which the
service's recommender `session_model` reads, where held-out sessions say that it is the best.
`docs/session-model.md` says what the model assumes. Read `fit` first, then `responses` (the data),
`grouping`, `regression`, `choice` and `export`.
"""
