"""Simulated listeners: worlds, the listening model, and collection of the event log.

In: a world's configuration or files, or real listening that a world is fitted to. Out: world files and event log
segments. Knows no other part but `looplib`.
"""
