"""How a simulated listener listens: pure rules, and the sessions they make.

In: a world, recommended tracks, random draws. Out: the shares heard. Read `response` first, then
`sessions`, `draws`.
"""
