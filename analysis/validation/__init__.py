"""Score recommendations on held-out listening.

In: lists (`lists` checks them) and held-out listening (`heldout`). Out: ranking metrics with bootstrap intervals over
listeners. Read `validator` first.
"""
