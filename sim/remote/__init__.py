"""Listeners that drive a running service over HTTP; the service writes the event log.

In: a world and a `RemoteConfig`. Out: what was heard, as lines and a summary file. Read `config`,
`run` (the summary), `sessions` (which come next, and side by side), `client` (requests).
"""
