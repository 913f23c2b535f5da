"""Durations and instants, both ways."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import clew
import pytest
from clew import _core

UTC = timezone.utc


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1, 1.0),
        (0, 0.0),
        (0.25, 0.25),
        ("250ms", 0.25),
        ("1h30m", 5400.0),
        ("3d", 259200.0),
        (timedelta(days=1, seconds=2, microseconds=3), 86402.000003),
        (timedelta(0), 0.0),
    ],
)
def test_durations(given: Any, seconds: float) -> None:
    assert _core.parse_duration(given) == seconds


@pytest.mark.parametrize(
    "given",
    [-1, "1x", "", None, True, [], float("nan"), timedelta(-1), timedelta.max, 1e300, "-1s"],
)
def test_what_is_no_duration_is_refused(given: Any) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        _core.parse_duration(given, "limits.timeout")
    assert caught.value.context["path"] == "limits.timeout"


INSTANTS = [
    datetime(2026, 1, 31, 8, 0, 0, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(1970, 1, 1, tzinfo=timezone(-timedelta(hours=23, minutes=59))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
def test_instants_keep_their_microseconds(instant: datetime) -> None:
    now = _core.ManualClock(instant).now()
    assert now == instant
    assert now.utcoffset() == timedelta(0)


@pytest.mark.parametrize("given", [datetime(2026, 1, 1), "2026-01-01", 0, timedelta(1)])
def test_what_is_no_aware_datetime_is_refused(given: Any) -> None:
    with pytest.raises(clew.InvalidInput, match="an aware datetime"):
        _core.ManualClock(given)


def test_virtual_time_moves_only_by_hand() -> None:
    clock = _core.ManualClock(INSTANTS[0])
    assert clock.now() == INSTANTS[0]
    assert clock.next_deadline() is None
    clock.advance("1h")
    assert clock.now() - INSTANTS[0] == timedelta(hours=1)
