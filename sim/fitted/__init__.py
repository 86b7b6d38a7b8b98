"""Worlds fitted to real listening.

In: a table of user, track, weight, or an event log, and the factors of an export. Out: a world's
folder, and how well it reproduces the data. Read `command` first, then `data` (files, checked),
`responses` (how much a log's listeners hear), `world` (interests, how long embeddings are, how
easily listeners are bored) and `reproduction`.
"""
