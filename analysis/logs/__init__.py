"""Read event logs, every line checked.

In: files and folders of JSON lines. Out: Arrow tables of events, and what was rejected with file,
line and reason. Read `reader` first, then `files` (find logs), `field_types` (the types of
`looplib.event_fields`), `lines` (parse one line exactly) and `sources` (read a content once).
"""
