"""Compiled loops, a file for each module of `recsys.models` that calls them.

`compiled` says how they are compiled; `vectors` has the processor's instructions.
"""
