"""Collect logs of simulated listening under a recommender, in parallel segments.

Read `collection` first, then `segments` and `eventlog`.
"""
