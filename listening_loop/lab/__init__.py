"""Show runs, leaderboards, reports and the live experiment in the browser.

In: a folder with runs and A/B reports, and the address of a service. Out: pages rendered here,
without scripts and without another host; it changes nothing. Read `app` first (the pages), then
`folders` (what is on the disk).
"""
