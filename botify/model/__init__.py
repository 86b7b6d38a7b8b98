"""Load the published recommendations and the catalogue into memory.

In: an export's folder and `tracks.json`. Out: arrays that recommenders read.

Read `catalogue` (tracks by number) and `manifest` (a version's files) first, then `tracklists` and
`arrays` (how files of lists and of arrays are read), `factors` and `ranker` (their values for
recommenders), and `model` (a version in memory). Nothing here knows the recommenders.
"""
