"""The campaign's tables count what the journals say."""

from __future__ import annotations

from pathlib import Path

from tools.faults.journal import append, records
from tools.faults.table import markdown, runs_table, videos_table


def cells(table: str) -> dict[str, dict[str, str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    header, _, *others = rows
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in others}


def test_kills_are_counted_by_kind_and_phase() -> None:
    cases = [
        {"kind": "one process", "kills": ["building", "building", "closing"], "stops": 0, "differences": []},
        {"kind": "one process", "kills": ["stepping"], "stops": 0, "differences": ["metrics.csv differs"]},
        {"kind": "full disk", "kills": ["building"], "stops": 1, "differences": []},
    ]
    table = cells(runs_table(cases))
    assert list(table) == ["one process", "full disk", "all"]
    assert table["one process"]["building"] == "2"
    assert table["one process"]["kills"] == "4"
    assert table["full disk"]["stops"] == "1"
    assert (table["all"]["kills"], table["all"]["runs"], table["all"]["differences"]) == ("5", "3", "1")


def test_videos_are_counted_by_damage_and_outcome() -> None:
    outcomes = [
        ("bits", "accepted", ""),
        ("bits", "refused", ""),
        ("bits", "accepted", "indices that fall"),
        ("cut", "worker ended", ""),
        ("cut", "refused", "hang"),
        ("cut", "", "crash: exit code -11"),
    ]
    table = cells(videos_table([{"kind": k, "outcome": o, "defect": d} for k, o, d in outcomes]))
    assert table["bits"]["accepted"] == "2"
    assert table["bits"]["wrong clips"] == "1"
    assert (table["cut"]["worker ended"], table["cut"]["hangs"], table["cut"]["crashes"]) == ("1", "1", "1")
    assert table["all"]["videos"] == "6"


def test_tables_are_aligned() -> None:
    assert markdown(["run", "kills"], [["one process", "7"]]) == (
        "| run         | kills |\n| :---------- | ----: |\n| one process |     7 |"
    )


def test_a_journal_outlives_a_half_written_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert records(path) == []
    append(path, {"index": 0})
    with path.open("a") as file:
        file.write('{"index": 1, "kin\n')
    append(path, {"index": 2})
    assert records(path) == [{"index": 0}, {"index": 2}]
