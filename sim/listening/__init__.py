"""How a simulated listener listens: pure rules, and the sessions they make.

Read `response` first, then `sessions`, `draws` and `drift`.
"""
