"""Simulated listeners: worlds, the listening model, and collection of the event log.

In: a world's configuration or files. Out: world files and event log segments. Knows no other part but `common`.
"""
