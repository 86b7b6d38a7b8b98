"""Listeners that drive a running service over HTTP; the service writes the event log.

In: a world and a `SimulateConfig`. Out: a line with the shares heard. Read `run`
(sessions side by side), then `client` (requests).
"""
