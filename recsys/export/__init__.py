"""Refit a run's winner on all sessions and publish what the service loads.

In: a finished run. Out: a published version with its manifest. Read `export`; the package runs as a command.
"""
