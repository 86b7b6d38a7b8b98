"""Read plays by a query: the SQL of `plays.sql`, of which each row is a play.

In: a query over files, databases or a data frame. Out: checked plays in Parquet files. Read
`columns` first, the names that a query may return, then `query`, which finds the files that it
reads, `check`, which reads them, and `draft`, which writes a query for a file by its values.
"""
