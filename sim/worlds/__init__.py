"""Worlds of tracks, artists and listeners: made from a seed, written to files and read back.

Read `config` and `generate` first, then `files`.
"""
