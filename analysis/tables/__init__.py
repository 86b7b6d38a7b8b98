"""Read tables of plays or interactions that people bring, every row checked.

In: CSV, JSON lines or Parquet with columns of any names. Out: checked rows in Parquet files. Read
`columns` (the settings: which column holds what), then `reader`.
"""
