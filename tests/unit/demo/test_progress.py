from __future__ import annotations

import io

from sorofast.demo.progress import Progress
from sorofast.demo.scenario import calls_between
from sorofast.testing.clock import StubClock


def ledger(number: int, executed: int) -> dict[str, object]:
    return {"event": "ledger", "ledger": number, "due": executed, "sent": executed, "executed": executed}


def test_in_a_pipe_it_writes_lines_and_says_when_the_first_task_ran(clock: StubClock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock=clock)
    progress.step("starting")
    progress.open()
    clock.advance(6)
    progress.hear(ledger(5, 0))
    clock.advance(1.26)
    progress.hear(ledger(6, 3))
    progress.hear(ledger(7, 2))
    clock.advance(5)
    progress.hear(ledger(8, 1))
    progress.hear({"event": "shards_held", "slot": 0})
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[  0.0 s] starting"
    assert lines[1].startswith("[  6.0 s] ledger 5: so far 0 due, 0 sent, 0 executed")
    assert lines[2] == "[  7.3 s] first executed task after 7.3 s"
    assert "ledger 8: so far 6 due, 6 sent, 6 executed" in lines[3]
    assert len(lines) == 4
    assert progress.first_execution_s == 7.3


def test_quiet_says_nothing(clock: StubClock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, quiet=True, clock=clock)
    progress.step("starting")
    progress.open()
    progress.hear(ledger(6, 3))
    progress.close()
    assert stream.getvalue() == ""
    assert progress.first_execution_s == 0.0


def test_calls_in_between_leave_out_what_was_not_called() -> None:
    assert calls_between({"a": 2, "b": 1}, {"c": 4, "a": 5, "b": 1}) == {"a": 3, "c": 4}
