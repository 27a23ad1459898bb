"""Misuse of a machine from many threads ends in declared errors, not in a crash of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lashlang

MISUSE = """
import random, threading
import lashlang

machines = [lashlang.Machine() for _ in range(3)]
unexpected = []
busy = 0

def work(seed):
    global busy
    rng = random.Random(seed)
    for _ in range(300):
        machine = rng.choice(machines)
        try:
            action = rng.randrange(5)
            if action == 0:
                machine.run("x = 0 for i in range(2000) { x = x + i } submit x")
            elif action == 1:
                machine.globals["x"] = rng.random()
            elif action == 2:
                list(machine.globals)
            elif action == 3:
                machine.start("submit (call t {})? + 1")
            else:
                machine.resume({request.id: lashlang.Response.ok(1) for request in machine.pending})
        except (lashlang.MachineBusy, lashlang.MachineMisuse):
            busy += 1
        except BaseException as error:
            unexpected.append(repr(error))

threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for machine in machines:
    if machine.running:
        machine.interrupt()
    assert machine.run("submit 1").value == 1
print("busy" if busy else "idle", unexpected)
"""


def test_misuse_from_many_threads_is_told_and_survived() -> None:
    root = str(Path(lashlang.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", MISUSE],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "busy []\n", "")
