"""Simulated listeners: worlds, the listening model, and its sessions.

In: a world's configuration or files. Out: world files, an event log, or traffic for a running
service. Knows no other part but `looplib`.

Read `worlds` (tracks and listeners) and `listening` (how a listener listens) first. The commands
are `world`, which makes a world, and `run`, which lets its listeners listen: to random
recommendations by `collect` and `events`, to a service by `remote`.
"""
