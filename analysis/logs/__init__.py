"""Read event logs, every line checked.

In: files and folders of JSON lines. Out: Arrow tables of events, and rejected lines with file,
line and reason. Read `reader` first, then `files` (find logs), `field_types` (the types of
`looplib.event_fields`), `lines` (parse a line exactly) and `sources` (read each content once).
"""
