"""Where the files of a loop are."""

from pathlib import Path

from recsys.export.export import RECOMMENDATIONS
from recsys.runs.folder import WINNER


class Paths:
    """The paths of a loop.

    Attributes:
        folder: Holds all the others.
        world: The world of listeners.
        catalogue: The world's tracks.
        collected: The log of the first collection.
        store: The session store, of all logs so far.
        published: What the service loads.
        recommendations: The newest lists.
    """

    def __init__(self, folder: Path) -> None:
        """Derive the paths from the loop's folder."""
        self.folder = folder
        self.world = folder / "world"
        self.catalogue = self.world / "tracks.json"
        self.collected = folder / "log"
        self.store = folder / "store"
        self.published = folder / "published"
        self.recommendations = self.published / "current" / RECOMMENDATIONS


class DayPaths:
    """The paths of a day.

    Attributes:
        number: From 1.
        folder: Holds all the others.
        run: The search's run folder.
        winner: There when the search has a winner.
        log: What the service logged.
        unfinished_traffic: What the listeners' side counted, while the service may still have some of the log open.
        traffic: The same when the day's log is complete.
        report: The A/B report's folder.
        report_json: The report for programs.
        training: An export of the winner's lists learned without the held-out sessions.
        predictions: What the lists were predicted to be worth, beside what the experiment measured.
    """

    def __init__(self, paths: Paths, number: int) -> None:
        """Derive the paths from the loop's and the day's number."""
        self.number = number
        self.folder = paths.folder / "days" / str(number)
        self.run = self.folder / "run"
        self.winner = self.run / WINNER
        self.log = self.folder / "log"
        self.unfinished_traffic = self.folder / "traffic-unfinished.json"
        self.traffic = self.folder / "traffic.json"
        self.report = self.folder / "report"
        self.report_json = self.report / "report.json"
        self.training = self.folder / "training"
        self.predictions = self.folder / "predictions.json"
