"""Write session stores: everything of a listener in one partition, as Parquet, with digests.

`analysis.store` says what a store is.

In: batches of checked rows. Out: an immutable store. Read `partitions` first, then `writer` and
`ids`; `reader` opens a store and downloads its files.
"""
