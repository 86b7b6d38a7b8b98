"""Write session stores: all plays of a listener in one partition, as Parquet, with digests.

`analysis.store` describes a store.

In: batches of checked rows. Out: an immutable store. Read `partitions` first, then `writer` and
`ids`; `reader` opens a store and downloads its files.
"""
