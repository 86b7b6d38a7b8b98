"""Collect an event log of simulated listening under a recommender, in segments that several processes write.

In: a world and a `CollectConfig`. Out: a folder of `events-….jsonl`. Read `collection` first, then `eventlog`.
"""
