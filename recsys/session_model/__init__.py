"""Fit the session model: how long a track is heard, given who listens and which track opened the session.

In: a session store. Out: arrays that the service's recommender `session_model` reads.
`docs/session-model.md` says what the model assumes. Read `fit` first, then `responses` (what it
learns from), `likelihood`, `ridge` (the regressions), `training`, `changes`, `model` and `export`.
"""
