"""Worlds: their configurations, their generation, and their files.

In: a `WorldConfig`, or a folder. Out: a folder, or a `World`. Read `config`, `generate`, `files`,
`neighbours`.
"""
