"""Publish a run's winner: refitted on all sessions, with its lists, its factors and a manifest.

In: a finished run (`recsys.run`). Out: a folder that the service loads. Read `export`
first (the refit, and the publishing), then `version` (the files); the package runs as a command.
"""
