"""Shared code of all parts: configuration, commands, errors, files, locks, progress, randomness.

Imports none of the other folders and none of their heavy libraries, so the service can be installed
alone.
"""
