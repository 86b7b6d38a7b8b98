"""`listening-loop serve --config configs/botify.yaml`: runs the service."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated

from looplib.cli import Overrides, importing, make_app, run

with importing():
    import typer

    from botify.errors import BotifyError
    from botify.settings import load_settings

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PROG = "listening-loop serve"
HELP = f"""Run the service until SIGTERM or Ctrl-C.

Every key of the configuration is an environment variable too: BOTIFY_LOG_DIR for log_dir.

\b
Example:
  {PROG} --config configs/botify.yaml --port 5001
  {PROG} --published out/plays-run/export
"""

app = make_app(HELP)


@app.command()
def main(
    config: Annotated[
        Path | None, typer.Option(help="YAML file with the settings.")
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an export to serve, with its own catalogue; the log goes there too."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    processes: Annotated[
        int | None, typer.Option(help="Worker processes; several need redis_url.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Run the service."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    if not (config or published):
        raise BotifyError(
            "--config or --published is expected: the settings, or the folder of an export to serve"
        )
    options = {"host": host, "port": port, "processes": processes}
    changes = [f"{key}={value}" for key, value in options.items() if value is not None]
    settings = load_settings(
        config, os.environ, [*changes, *(overrides or [])], published
    )
    if published and not settings.catalogue.exists():
        raise BotifyError(
            f"{published}: no export with a catalogue is here; make one with "
            "listening-loop export, or name its catalogue: --set catalogue=PATH"
        )
    with tempfile.TemporaryDirectory(
        prefix="botify-metrics-", ignore_cleanup_errors=True
    ) as folder:
        # prometheus_client looks for its folder when it is imported
        os.environ[METRICS_VARIABLE] = folder
        with importing():
            from botify.serving import serve

        try:
            serve(settings)
        finally:
            del os.environ[METRICS_VARIABLE]


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
