"""Publish a run's winner: refitted on all sessions, with its lists, its factors and a manifest.

In: a finished run (`recsys.run`). Out: a folder that the service loads. Read `export`
first (the publishing), then `plan` (the calls of workers) and `version` (the files); the package
runs as a command.
"""
