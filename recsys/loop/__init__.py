"""The closed loop: listen, learn, publish, serve, experiment, report, and again with what was learned.

In: a configuration that names the other parts' configurations. Out: one folder with everything. Each step is a command
that can be run by itself; it is printed before it runs. The parts meet in files and over HTTP only::

    world/, log/           the listeners, and what they heard under random recommendations
    store/                 the session store, of all logs so far
    published/             what the service loads; `current` is the newest version
    days/1/run/            the search
    days/1/log/            what the service logged
    days/1/traffic.json    what the listeners' side counted
    days/1/report/         the A/B report
    days/1/predictions.json  of the first day: the off-policy estimates, beside what was measured
    loop.json              the outcome of all days

Read `days` (what happens), `processes` (how it is run), then `outcome`.
"""
