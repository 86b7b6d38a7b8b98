"""`python -m recsys.lab`, by its old name: the command is `listening_loop.lab`."""

from looplib.cli import importing, run

if __name__ == "__main__":
    with importing():
        from listening_loop.lab.command import GONE, PROG, app
    raise SystemExit(run(app, PROG, gone=GONE))
