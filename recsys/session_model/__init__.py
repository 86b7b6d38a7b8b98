"""Fit the session model: how long a track is heard, given who listens and the organic track.

In: a session store. Out: the arrays of `looplib.session_model_file`, which the service's
recommender `session_model` reads. `docs/session-model.md` says what the model assumes. Read `fit`
first, then `responses` (the data), `grouping`, `likelihood`, `ridge` (the regressions), `training`,
`changes`, `model` and `export`.
"""
