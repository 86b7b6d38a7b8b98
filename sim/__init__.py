"""Simulated listeners: worlds, the listening model, and what listeners do in it.

In: a world's configuration or files, or real listening that a world is fitted to. Out: world files,
an event log, traffic for a running service, or a Gymnasium environment. Knows no other part but
`looplib`.

Read `listening` (how a listener listens), `worlds` (what there is to hear) and `recommenders`
first. Then the commands: `world` makes a world or, by `fitted`, fits one to real listening, and
says what it is like by `figures` that stand in a `card` beside published ones; `run` lets listeners
listen, to a recommender by `collect`, to a service by `remote`, to a person by `console`.
`environment` is the model for reinforcement learning. `workers` starts processes for all.
"""
