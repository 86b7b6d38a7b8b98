"""Off-policy estimates: what lists that were never served would have been worth, from a log of known propensities.

In: held-out sessions of a log or a session store, and lists of recommendations or the probabilities of any policy.
Out: the mean listening time of a recommended track, with its interval over listeners, or the reason why there is none.
"""

from analysis.offpolicy.estimate import OffPolicy
from analysis.offpolicy.holdout import Holdout, parse_holdout
from analysis.offpolicy.logged import LoggedSessions, LoggingPolicy, read_sessions, sessions_of
from analysis.offpolicy.policies import Guesses, Policy, RewardModel, Serving, SessionAware, SessionSoFar
from analysis.offpolicy.result import Estimate, OffPolicyEstimate, PerListener

__all__ = [
    "Estimate",
    "Guesses",
    "Holdout",
    "LoggedSessions",
    "LoggingPolicy",
    "OffPolicy",
    "OffPolicyEstimate",
    "PerListener",
    "Policy",
    "RewardModel",
    "Serving",
    "SessionAware",
    "SessionSoFar",
    "parse_holdout",
    "read_sessions",
    "sessions_of",
]
