"""Measurements that README and docs quote: one harness, one short file a claim.

A command (`python -m benchmarks.NAME --help`) runs what it compares side by side in one run, in
turns, and prints medians, the ratio turn by turn, the machine and the versions. Read `harness`
first. No commands are `bare_service`, `als_systems` and `als_shapes`, what others are measured
against.
"""
