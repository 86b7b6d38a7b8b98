"""Recommenders of the next track, for a batch of listeners.

In: a model, rows (`base`) and a generator. Out: a track for each row and its propensity. Read
`base`, then `lists`, the simplest recommenders, `registry`, which names them all and asks another
one where one has no track, and `interleaved`.
"""
