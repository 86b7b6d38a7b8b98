"""Measurements that README and docs quote: one harness, one short file a claim.

Every file is a command (`python -m benchmarks.NAME --help`) that runs what it compares side by side
in one run, in turns, and prints medians, the ratio turn by turn, the machine and the versions. Read
`harness` first.
"""
