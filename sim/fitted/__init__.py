"""Worlds fitted to real listening: a user-track-weight table and its ALS factors in, a world's folder out.

The way of it: `table` and `factors` (files, checked) → `interests` (each listener's) → `tuning` (how long embeddings
are, and how easily listeners are bored) → `world` (all of it) → `reproduction` (how well it reproduces the data), and
`command` around them.
"""
