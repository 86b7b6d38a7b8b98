"""The lab: runs, leaderboards, reports and the live experiment on one set of pages.

In: a folder with runs and A/B reports, and the address of a service. Out: pages rendered here,
without scripts and without another host; it changes nothing. Read `app` first (the pages), then
`folders` (what is on the disk).
"""
