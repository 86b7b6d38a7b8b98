"""Where the files of a loop are."""

from pathlib import Path

from recsys.export.export import RECOMMENDATIONS
from recsys.runs.folder import WINNER


class Paths:
    """The paths of a loop; `recsys.loop` says what the folders hold.

    Attributes:
        catalogue: The world's tracks.
        collected: The log of the first collection.
        recommendations: The newest lists.
        outcome: All days' outcomes.
    """

    def __init__(self, folder: Path) -> None:
        """Derive the paths from the loop's folder."""
        self.folder = folder
        self.config = folder / "loop.yaml"
        self.outcome = folder / "loop.json"
        self.world = folder / "world"
        self.catalogue = self.world / "tracks.json"
        self.collected = folder / "log"
        self.store = folder / "store"
        self.published = folder / "published"
        self.recommendations = self.published / "current" / RECOMMENDATIONS


class DayPaths:
    """The paths of a day, whose number runs from 1.

    Attributes:
        winner: There when the search has a winner.
        unfinished_traffic: What the listeners' side counted, while the service may still have some of the log open.
        traffic: The same when the day's log is complete.
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
