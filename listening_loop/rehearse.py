"""`listening-loop rehearse EXPORT`: send simulated listeners through a service, by the owner's ids.

They show that everything fits together, from the service to the verdict, and nothing about real
listeners: a track is heard the more likely, the higher ALS scores it, so that its lists are right.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from listening_loop.api.models import Model
from listening_loop.client import ServiceClient
from looplib.cli import make_app
from looplib.progress import progress
from looplib.randomness import make_generator

PROG = "listening-loop rehearse"
app = make_app("Send simulated listeners through a service, with the ids of an export.")
_FAMILIAR = 20  # tracks that a listener likes most, of which one opens the session
_SESSIONS = 2  # of each listener
_SKIPPED = 0.1  # the share that is heard of a track that is skipped
_SKIPS, _LONGEST = 3, 20  # tracks after which a session is over
# chance of hearing any track to its end, and what liking adds to it
_LEAST, _LIKING = 0.3, 0.4


@app.command(epilog=f"Example: {PROG} out/plays/run/export --listeners 500")
def main(
    export: Annotated[
        Path, typer.Argument(help="Folder of an export, whose lists are served.")
    ],
    url: Annotated[
        str, typer.Option(help="Address of the service.")
    ] = "http://localhost:5001",
    listeners: Annotated[int, typer.Option(min=1, help="At most so many.")] = 900,
) -> None:
    """Rehearse an experiment."""
    model, service = Model.load(export / "current"), ServiceClient(url)
    generator = make_generator(1, "rehearse")
    rows = {item: row for row, item in enumerate(model.items.tolist())}
    shuffled = generator.permutation(len(model.users))
    sessions = shuffled[:listeners].tolist() * _SESSIONS
    with progress("rehearsal", len(sessions), "sessions") as report:
        for done, row in enumerate(sessions, start=1):
            play(model, rows, row, service, generator)
            report(done)
    typer.echo(f"{len(sessions):,} sessions; the log has what was heard")


def play(
    model: Model,
    rows: Mapping[Any, int],
    row: int,
    service: ServiceClient,
    rng: np.random.Generator,
) -> None:
    """Play a session of the listener in a row of the model, whose tracks have these rows.

    Raises:
        Error: The service does not answer, or refuses.
    """
    user = model.users[row].item()
    likes = model.item_factors @ model.user_factors[row]
    first = rng.choice(np.argsort(likes)[-_FAMILIAR:])
    track, heard, skips = model.items[first].item(), 1.0, 0
    for _ in range(_LONGEST):
        track = service.next(user, track, heard)
        liked = likes[rows[track]] / likes[first] if track in rows else 0.0
        chance = _LEAST + _LIKING * min(max(liked, 0.0), 1.0)
        is_skipped = rng.random() > chance
        heard = _SKIPPED if is_skipped else 1.0
        skips += is_skipped
        if skips == _SKIPS:
            break
    service.last(user, track, heard)
