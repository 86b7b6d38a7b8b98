"""Off-policy estimates on a real A/B test: two policies, each valued from the other's log.

    python -m benchmarks.open_bandit [--folder out/obp]

The source package of `obp` 0.5.7 (Apache-2.0, 1.3 MB, from the Python package index) holds 60,000
impressions of ZOZO's fashion site with true propensities: in three campaigns, 10,000 each under
uniformly random items and under Bernoulli Thompson sampling, "bts" (Saito et al., Open Bandit
Dataset and Pipeline, 2021). Nothing of it is installed or run.

Items are random with the same probability; "bts" recommends them as often as its own log shows them
at a position. The command fails unless every 95 % interval contains what was
measured, and "random" from the log of women/bts, where one impression weighs 21,739, is refused.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
import typer

from analysis.offpolicy.estimate import OffPolicyEstimate, estimate_policy
from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics.effects import Interval
from benchmarks.harness import console, download, show
from looplib.arrays import FloatArray

PACKAGE = "obp==0.5.7"
CAMPAIGNS, POLICIES = ("all", "men", "women"), ("bts", "random")
METHODS = ("IPS", "SNIPS")


def main(folder: Path = Path("out/obp")) -> None:
    """Estimate, and compare with what was measured; the package is downloaded to the folder."""
    package = download(PACKAGE, folder)
    rows, covered, refused = [], 0, []
    for campaign in CAMPAIGNS:
        logs = {policy: read_log(package, campaign, policy) for policy in POLICIES}
        for valued, logging in (POLICIES, POLICIES[::-1]):
            policy = probabilities(logs[valued], is_uniform=valued == "random")
            intervals, estimate = value(logs[logging], policy)
            measured = logs[valued]["click"].mean()
            is_covered = all(
                lower <= measured <= upper for _, lower, upper in intervals
            )
            covered += is_covered
            if estimate.reasons:
                refused.append(f"{campaign}/{logging}")
            verdict = "; ".join(sorted(estimate.reasons)) or "contained"
            rows.append(
                (
                    f"{campaign}: {valued} from {logging}",
                    f"{1000 * measured:.1f}",
                    *map(_text, intervals),
                    f"{estimate.ess:,.0f}",
                    verdict if is_covered else "MISSED",
                )
            )
    title = "Clicks in 1,000 impressions, 95 % intervals"
    show(title, ("", "measured", *METHODS, "ESS", ""), rows)
    console.print(
        f"{covered} of {len(rows)} measured values are in all intervals; "
        f"refused: {', '.join(refused)}"
    )
    if covered < len(rows) or refused != ["women/bts"]:
        raise typer.Exit(1)


def read_log(package: Path, campaign: str, policy: str) -> pd.DataFrame:
    """Read the impressions of a campaign under a policy: item, position, click, propensity."""
    folder = f"{package.name.removesuffix('.tar.gz')}/obp/dataset/obd"
    name = f"{folder}/{policy}/{campaign}/{campaign}.csv"
    with tarfile.open(package) as archive:
        table = pyarrow.csv.read_csv(archive.extractfile(name)).to_pandas()
    return pd.DataFrame(table)


def probabilities(log: pd.DataFrame, *, is_uniform: bool) -> FloatArray:
    """Compute the probability of items by position in a log, shape (positions + 1, items)."""
    position, item = log["position"].to_numpy(), log["item_id"].to_numpy()
    shown = np.zeros((position.max() + 1, item.max() + 1))
    np.add.at(shown, (position, item), 1)
    if is_uniform:
        return np.full(shown.shape, 1 / shown.shape[1])
    return np.asarray(shown / np.maximum(shown.sum(axis=1, keepdims=True), 1))


def value(
    log: pd.DataFrame, policy: FloatArray
) -> tuple[Sequence[Interval], OffPolicyEstimate]:
    """Estimate the clicks of a policy, given by `probabilities`, from another's log.

    Returns:
        An interval for each of `METHODS`, and what else the estimate says.
    """
    rows, item = np.arange(len(log)), log["item_id"].to_numpy()
    clicks = log["click"].to_numpy(np.float64)
    propensity = log["propensity_score"].to_numpy()
    impressions = LoggedSessions(rows, rows, rows, item, clicks, propensity, 0, 0)
    drawn = policy[log["position"], item]
    answered = np.full(len(rows), fill_value=True)
    estimate = estimate_policy(impressions, drawn, answered)
    return (estimate.ips, estimate.snips), estimate


def _text(interval: Interval) -> str:
    value, lower, upper = (f"{1000 * end:.1f}" for end in interval)
    return f"{value} ({lower} … {upper})"


if __name__ == "__main__":
    typer.run(main)
