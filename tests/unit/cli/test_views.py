"""What people read on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from epost.cli import views
from epost.cli.views import show_joined, show_nodes, show_revoked, show_ring

LOSS = {
    "copies": 3,
    "machines": 5,
    "losses_seen": 1,
    "machine_years_watched": 0.25,
    "losses_per_machine_year": 0.62,
    "repair_seconds": 900.0,
    "yearly_probability": 2.9e-09,
}


@pytest.fixture(autouse=True)
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views.console, "width", 200)


def neighbour(number: int, absent_seconds: int = 0) -> dict[str, Any]:
    return {
        "node_id": f"{number:040x}",
        "addresses": [f"192.0.2.{number}:4510"],
        "side": "clockwise",
        "reachable": not absent_seconds,
        "round_trip_ms": None if absent_seconds else 12.5,
        "absent_seconds": absent_seconds,
    }


def ring(**changed: object) -> dict[str, Any]:
    known = {
        "leaf_set": [neighbour(1), neighbour(2, absent_seconds=7300)],
        "enrolled": 5,
        "copies_wanted": 3,
        "below_k": 1,
        "groups": 2,
        "loss": LOSS,
        "advice": [],
    }
    return known | changed


def test_blocks_that_lie_far_from_their_place_are_shown_if_there_are_any(capsys: Any) -> None:
    show_ring(ring())
    assert "far from" not in capsys.readouterr().out
    show_ring(ring(strays=12))
    assert "12 blocks here far from their place" in " ".join(capsys.readouterr().out.split())


def test_the_ring_tells_who_is_reached_through_whom(capsys: Any) -> None:
    show_ring(ring(leaf_set=[neighbour(1) | {"through": f"{7:040x}"}]))
    assert "through 0000000000000000…" in capsys.readouterr().out


def test_the_ring_is_shown_with_who_is_away_and_since_when(capsys: Any) -> None:
    show_ring(ring())
    text = capsys.readouterr().out
    assert "192.0.2.1:4510" in text
    assert "12.5" in text
    assert "no, for 2 hours" in text
    assert "1 block with fewer" in text


def test_the_odds_of_losing_data_are_shown_with_what_they_rest_on(capsys: Any) -> None:
    show_ring(ring())
    text = capsys.readouterr().out
    assert "2.9e-09" in text
    assert "3 copies, 5 machines, 0.62 losses per machine and year (1 loss seen" in text
    assert "made anew within 15 minutes" in text


def test_advice_stands_below(capsys: Any) -> None:
    show_ring(ring(advice=["Revoke it: epost org revoke-node abcd"]))
    assert "epost org revoke-node abcd" in capsys.readouterr().out


def test_machines_are_listed_with_their_users_and_revocations(capsys: Any) -> None:
    day = 86_400_000
    rows = [
        {"node_id": "aa" * 20, "user": "", "site": "", "enrolled_ms": day, "revoked_ms": 2 * day},
        {
            **{"node_id": "bb" * 20, "user": "bob@example.org", "site": "mill [red]"},
            **{"enrolled_ms": day, "revoked_ms": None},
        },
    ]
    show_nodes(rows)
    show_revoked("aa" * 20)
    text = capsys.readouterr().out
    assert "revoked 1970-01-03" in text
    assert "bob@example.org" in text
    assert "mill [red]" in text
    assert "in force" in text
    assert "is revoked" in text


def status(**storage: int) -> dict[str, Any]:
    counts = {
        **{"blocks": 9, "bytes": 9000, "free_bytes": 10**9, "unpushed": 0, "below_k": 0},
        **{"diverted": 0, "pointers": 0, "trashed": 0, "trashed_bytes": 0},
        **{"rotten": 0, "rotten_missing": 0, "scrubbed_percent": 0},
    }
    return {
        **{
            "name": "ann",
            "former_names": [],
            "domain": "example.org",
            "node_id": "ab" * 20,
            "pid": 1,
        },
        **{"version": "0", "keys": "unprotected", "log": "ring-durable", "advice": []},
        "ring": {"ready": False, "members": 5, "enrolled": 5, "copies_wanted": 3},
        "storage": counts | storage,
        "copying": "allowed",
        "queue": {"messages": 0, "calls": 0},
        "services": {},
    }


def test_space_is_mentioned_when_there_is_something_to_say(capsys: Any) -> None:
    views.show_status(status())
    assert "trash" not in capsys.readouterr().out
    full = status(
        pointers=2, diverted=1, trashed=3, trashed_bytes=3000, cached=1, cached_bytes=2000
    )
    views.show_status(full | {"copying": "on battery"})
    text = capsys.readouterr().out
    assert "waits: on battery" in text
    assert "1 popular block, 2 kB" in text
    assert "2 replicas kept by neighbours, 1 replica kept for them" in text
    assert "3 blocks" in text


def test_recovery_words_fit_an_ordinary_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(views.console, "width", 80)
    member = {"name": "a@b.org", "domain": "b.org", "password": "P", "imap": "i", "smtp": "s"}
    words = " ".join(["longword"] * 24)
    show_joined({**member, "recovery_words": words}, Path("/data"), is_founder=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if "longword" in line]
    assert [line.count("longword") for line in lines] == [4] * 6
