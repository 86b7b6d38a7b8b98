"""`python -m tests.recsys.search_in_process` is `python -m recsys.search` whose calls run in its
own process."""

from looplib.cli import run
from recsys.search import __main__ as search
from tests.recsys.in_process import without_processes

if __name__ == "__main__":
    with without_processes():
        raise SystemExit(run(search.app, search.PROG))
