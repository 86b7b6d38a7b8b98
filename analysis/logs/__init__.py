"""Read event logs and tables of interactions, every line checked.

In: files and folders of JSON lines, CSV or Parquet. Out: Arrow tables of events, or checked rows in
Parquet files, and what was rejected with file, line and reason. Read `reader` first, then `files`
(find logs), `field_types` (what the types of fields are) and `lines` (parse one line exactly);
`columns` and `interactions` read tables of plays or interactions.
"""
