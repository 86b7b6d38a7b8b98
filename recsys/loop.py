"""`python -m recsys.loop`, by its old name: the command is `listening_loop.loop`."""

from looplib.cli import importing, run

if __name__ == "__main__":
    with importing():
        from listening_loop.loop import PROG, app
    raise SystemExit(run(app, PROG))
