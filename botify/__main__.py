"""`python -m botify --config configs/botify.yaml`: runs the service."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from botify.metrics_folder import metrics_folder
from botify.settings import load_settings
from looplib.cli import make_app, run

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
PROG = "python -m botify"
HELP = f"""Runs the service until SIGTERM or Ctrl-C.

Every key of the configuration can be given as an environment variable too: BOTIFY_LOG_DIR for log_dir.

\b
Example:
  {PROG} --config configs/botify.yaml --port 5001
"""

app = make_app(HELP)


@app.command(help=HELP)
def main(
    config: Annotated[Path, typer.Option(help="YAML file with the settings.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    processes: Annotated[int | None, typer.Option(help="Worker processes; several need redis_url.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
) -> None:
    """Run the service."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = {"host": host, "port": port, "processes": processes}
    settings = load_settings(config, os.environ, options, overrides or [])
    with metrics_folder() as folder:
        # The metrics' library looks for its folder when it is imported, so this comes before what imports it.
        os.environ[METRICS_FOLDER] = str(folder)
        from botify.serving import serve

        try:
            serve(settings)
        finally:
            del os.environ[METRICS_FOLDER]


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
