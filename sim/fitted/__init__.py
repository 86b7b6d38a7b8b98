"""Worlds fitted to real listening.

In: a table of user, track, weight and the factors of an export. Out: a world's folder, and how well it reproduces the
data. Read `command` first, then `data` (files, checked), `world` (interests, how long embeddings are, how easily
listeners are bored) and `reproduction`.
"""
