"""Listeners that drive a running service over HTTP; the service writes the event log.

In: a world and a `RemoteConfig`. Out: what was heard, by listener and by arm, as tables and a summary file.
Read `config`, `run` (days), `drive` (processes), `pool` (sessions side by side), `queue` (which session comes next),
`service` (requests, and when they are sent again), `probe` (what the service offers), `summary` (figures).
"""
