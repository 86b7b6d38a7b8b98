"""Parts of a report beside the effects: days, segments, interleaved recommenders, and whether the log can be trusted.

In: the tables of `analysis.ab.measures`. Out: the dataclasses that a report shows.
"""
