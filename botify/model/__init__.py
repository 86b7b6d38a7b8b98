"""What the service serves from: the published recommendations and the catalogue, in memory.

In: an export's folder and `tracks.json`. Out: arrays that recommenders read. Read `model` first,
then `manifest`, `loading`, and `versions`, which watches the folder for a newer export.
"""
