"""What every session store has to do, as cases that anybody can run against a store of their own.

A store is given by a function that makes a factory over an empty place, each time it is called:

    def make_store(*, clock, failpoint):
        return MyFactory(new_folder(), clock=clock, failpoint=failpoint)

`clock` is where the store takes time from. `failpoint` is a function that the store calls with the names in
`lash.host.stores.tables.STEPS` before the steps of a commit, with "commit" right before a write becomes durable and
with "committed" right after; whatever it raises before that has to undo the write. In production it is `no_failpoint`.

The whole suite, which raises AssertionError with all that failed:

    from lash.testing import conformance
    conformance.run(make_store)

Case by case with pytest (and pytest-asyncio), each case a test of its own:

    @pytest.mark.parametrize("case", conformance.CASES, ids=str)
    async def test_my_store(case):
        await conformance.run_case(case, make_store)

Stores that outlive the process pass `reopen`, and `kill`, too. Both get a factory and return a function like
`make_store` that opens *the same place* again: `reopen` in this process, `kill` in child processes that are killed in
the middle of a commit, hence a function that can be pickled. `instruments` is what reaches below the store: it counts
rows, damages files, fills the disk; `lash.testing.conformance.sqlite` has that of the SQLite store. Cases that need
what is not given are reported as skipped, with the reason.

What a durable effect host with questions to people has to do is in `lash.testing.conformance.questions`.

`python -m lash.testing.conformance [--scale long]` runs the suite against the stores of lash. `scale="long"` has more
rounds, and the cases that take minutes.
"""

from lash.testing.conformance.running import CASES, Report, cases, run, run_case
from lash.testing.conformance.world import Case, Instruments, Opener, Scale, Skipped, World

__all__ = [
    "CASES",
    "Case",
    "Instruments",
    "Opener",
    "Report",
    "Scale",
    "Skipped",
    "World",
    "cases",
    "run",
    "run_case",
]
