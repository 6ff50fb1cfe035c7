"""One table tells a peer and a shell what went wrong, and tells neither what must stay inside."""

import errno

import pytest

from hdex.node import errors
from hdex.node.errors import EXITS, HIDDEN, STATUSES, AccessDenied, NodeError, RemoteRefused, describe, kebab


class DeidError(Exception):
    """Stands for a room's base: the table knows rooms by class name."""


class RiskTooHigh(DeidError):
    pass


class LedgerError(Exception):
    pass


class LogFailed(LedgerError):
    pass


class AdmissionRefused(Exception):
    rule = "rounds-used-up"


@pytest.mark.parametrize(
    ("error", "status", "exit_code", "rule"),
    [
        (RiskTooHigh("k is 3, 10 asked"), "FAILED_PRECONDITION", 1, "risk-too-high"),
        (LogFailed("fsync failed"), "UNAVAILABLE", 3, "log-failed"),
        (AdmissionRefused("no"), "PERMISSION_DENIED", 1, "rounds-used-up"),
        (AccessDenied("level-5-no-file", "ask for a federated study"), "PERMISSION_DENIED", 1, "level-5-no-file"),
        (errors.ConfigInvalid("unknown key"), "INVALID_ARGUMENT", 2, "config-invalid"),
        (errors.NotFound("no such product"), "NOT_FOUND", 2, "not-found"),
        (OSError(errno.ENOSPC, "No space left on device"), "RESOURCE_EXHAUSTED", 3, "disk-full"),
        (RemoteRefused("r", "n", "m", status="UNAVAILABLE"), "UNAVAILABLE", 3, "r"),
        (RemoteRefused("r", "n", "m", status="NONSENSE"), "UNKNOWN", 3, "r"),
    ],
)
def test_an_error_has_one_status_one_exit_code_and_one_rule(
    error: Exception, status: str, exit_code: int, rule: str
) -> None:
    problem = describe(error)
    assert (problem.status, problem.exit_code, problem.rule) == (status, exit_code, rule)


def test_the_next_step_travels() -> None:
    assert describe(AccessDenied("level-5", "ask for a study")).next_step == "ask for a study"


@pytest.mark.parametrize("error", [ValueError("patient Zhang San"), KeyError("secret"), RuntimeError("x" * 9)])
def test_the_unforeseen_leaks_nothing(error: Exception) -> None:
    problem = describe(error)
    assert problem.message == HIDDEN
    assert (problem.status, problem.exit_code) == ("INTERNAL", 3)


def test_every_node_error_is_in_the_table_and_every_status_has_an_exit_code() -> None:
    own = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, NodeError)]
    assert {cls.__name__ for cls in own} - {"RemoteRefused"} <= set(STATUSES)
    assert set(STATUSES.values()) <= set(EXITS)


def test_every_status_is_one_that_grpc_knows() -> None:
    import grpc

    assert set(EXITS) <= {status.name for status in grpc.StatusCode}


def test_rules_are_kebab_case() -> None:
    assert kebab("KAnonymityTooLow") == "kanonymity-too-low"
    assert kebab("NotFound") == "not-found"
