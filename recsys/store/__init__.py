"""The session store: events of each listener in one bucket, as Parquet, with digests.

In: batches of checked events. Out: an immutable store. Read `manifest` first, then `writer`, `buckets`, `sort`, `ids`.
"""
