"""Recommenders of the next track.

Pure functions of the model, the sessions so far and a generator, over a batch.

In: a model and rows (`base`). Out: a track for each row and its propensity. Read `base`, then
`lists`, the simplest recommenders, `registry`, which names them all and asks another one where one
has no track, and `interleaved`.
"""
