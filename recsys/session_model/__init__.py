"""Fit the session model: what a track adds to the listening of a session, given how it began.

In: a session store. Out: arrays that the service's `session_context` recommender reads. Read `fit` first, then
`responses`, `interests` and `export`.
"""
