"""Listeners that drive a running service over HTTP; the service writes the event log.

In: a world and a `SimulateConfig`. Out: what was heard, in a line. Read `run`
(sessions side by side), then `client` (requests).
"""
