"""What an off-policy estimate says; its formulas and letters are those of `analysis.offpolicy.estimate`."""

from dataclasses import dataclass

from looplib.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % bootstrap interval over listeners."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class PerListener:
    """Sums over each listener's requests, to compare policies on the same listeners; arrays of shape (listeners,).

    Attributes:
        users: The listeners, ascending.
        requests: Their requests that count.
        weights: Σ w.
        times: Σ w r.
        guesses: Σ q(π, h); None without a reward model.
        corrections: Σ w (r - q(a, h)); None without a reward model.
    """

    users: IntArray
    requests: FloatArray
    weights: FloatArray
    times: FloatArray
    guesses: FloatArray | None = None
    corrections: FloatArray | None = None


@dataclass(frozen=True)
class OffPolicyEstimate:
    """What a policy is worth: the mean listening time of a track that it recommends, share 0..1.

    Attributes:
        ips: By inverse propensities.
        snips: By self-normalised inverse propensities.
        dr: Doubly robust; None without a reward model.
        mean_weight: Σ w / n; 1 is expected.
        requests: Requests that count, n.
        unanswered: Requests where the policy had nothing to recommend, such as a list that was used up; left out.
        matched: Requests whose logged track the policy might have recommended, w > 0.
        ess: Effective sample size of the listeners' weights.
        reasons: Why nothing should be concluded from the estimate; empty if something may.
        per_listener: The sums it is made of.
    """

    ips: Estimate
    snips: Estimate
    dr: Estimate | None
    mean_weight: Estimate
    requests: int
    unanswered: int
    matched: int
    ess: float
    reasons: tuple[str, ...]
    per_listener: PerListener

    @property
    def conclusive(self) -> bool:
        """Whether the estimate says something."""
        return not self.reasons

    @property
    def best(self) -> Estimate:
        """The doubly robust estimate where there is a reward model, else the self-normalised one."""
        return self.dr or self.snips

    @property
    def value(self) -> float:
        """The value of `best`."""
        return self.best.value

    @property
    def lower(self) -> float:
        """Lower end of the interval of `best`."""
        return self.best.lower

    @property
    def upper(self) -> float:
        """Upper end of the interval of `best`."""
        return self.best.upper
