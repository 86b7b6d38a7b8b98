"""Off-policy estimates: what recommendations that were never served would have been worth.

In: held-out sessions whose recommendations have known propensities, and lists or the probabilities of any policy.
Out: the mean listening time of a recommended track, with its interval over listeners, or why there is none.

Read `logged` (sessions), `policies` (what a policy would have done), `estimate` (the formulas), then `__main__`.
"""

from analysis.offpolicy.estimate import OffPolicy, OffPolicyEstimate
from analysis.offpolicy.holdout import Holdout, parse_holdout
from analysis.offpolicy.logged import LoggedSessions, LoggingPolicy, read_sessions, sessions_of
from analysis.offpolicy.policies import Policy, RewardModel, Serving

__all__ = [
    "Holdout",
    "LoggedSessions",
    "LoggingPolicy",
    "OffPolicy",
    "OffPolicyEstimate",
    "Policy",
    "RewardModel",
    "Serving",
    "parse_holdout",
    "read_sessions",
    "sessions_of",
]
