"""Listeners that drive a running service over HTTP; the service writes the event log.

In: a world and a `SimulateConfig`. Out: what was heard, as lines and a summary file. Read `run`
(sessions side by side, and the summary), then `client` (requests).
"""
