"""Measurements that README and docs quote: one harness, one short file a claim.

A command (`python -m benchmarks.NAME --help`) runs what it compares side by side in one run, in
turns, and prints medians, the ratio turn by turn, the machine and the versions. Read `harness`
first. `bare_service` is no command but what `service` is measured against.
"""
