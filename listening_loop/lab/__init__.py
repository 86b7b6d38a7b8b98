"""The lab: runs, leaderboards, reports and the live experiment on one set of pages.

In: a folder with runs and A/B reports, and the address of a service. Out: pages rendered here,
without scripts and without another host; it publishes a run's winner to the service, and rolls it
back. Read `app` first (the pages), then `folders` (what is on the disk) and `service` (what is
served, live, published).
"""
