"""Recommenders of the next track, by name.

In: a version, a listener's session, a generator. Out: a track, and the probability with which it
was drawn. Read `base` first, then `lists` and `memory`, and `registry`, which has the names, the
fallbacks and the interleaving.
"""
