from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lash.host.stores.memory import MemorySessionStoreFactory
from lash.host.stores.memory.factory import MemoryMedium
from lash.host.stores.memory.tables import MemoryTables
from lash.host.stores.tables import Tables
from lash.runtime.errors import StoreError
from lash.testing import conformance
from lash.testing.conformance.sqlite import SqlitePlaces

CI = conformance.cases("ci")

ABOUT_DURABILITY = {6, 29, 30, 32, 33, 34}
"""Cases that cannot be put to a store which ends with its process."""


@pytest.mark.parametrize("case", CI, ids=str)
async def test_the_sqlite_store_passes(case: conformance.Case, tmp_path: Path) -> None:
    places = SqlitePlaces(tmp_path)
    await conformance.run_case(case, places.make_store, reopen=places.reopen, kill=places.reopen, instruments=places)


@pytest.mark.parametrize("case", CI, ids=str)
async def test_the_memory_store_passes(case: conformance.Case) -> None:
    try:
        await conformance.run_case(case, MemorySessionStoreFactory)
    except conformance.Skipped as reason:
        if case.number not in ABOUT_DURABILITY:
            pytest.fail(str(reason))


def test_every_number_of_the_table_has_a_case_that_says_what_it_expects() -> None:
    assert {case.number for case in conformance.CASES} == set(range(1, 37))
    assert all(case.expectation for case in conformance.CASES)


async def test_a_store_that_keeps_half_a_commit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def write_in_place(
        self: MemoryMedium, job: Callable[[Tables], object], *, prepare: Callable[[], None] | None = None
    ) -> object:
        if prepare is not None:
            prepare()
        tables = MemoryTables(self._state)  # pyright: ignore[reportPrivateUsage]
        try:
            return job(tables)
        finally:
            self._state = tables.state  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(MemoryMedium, "write", write_in_place)
    broken = next(case for case in CI if case.name == "replacement_undone")
    with pytest.raises((AssertionError, StoreError)):
        await conformance.run_case(broken, MemorySessionStoreFactory)


def test_a_run_names_all_that_failed_and_reports_what_it_could_not_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemorySessionStoreFactory, "delete_store", _never)
    states: dict[str, str] = {}
    with pytest.raises(AssertionError) as failed:
        conformance.run(MemorySessionStoreFactory, told=lambda case, state: states.update({str(case): state}))
    assert states["35-life_of_a_store"] == "failed"
    assert states["01-first_commit"] == "passed"
    assert states["30-killed_in_a_commit"] == "skipped"
    assert "life_of_a_store" in str(failed.value)


async def _never(self: object, session_id: str) -> bool:
    return False
