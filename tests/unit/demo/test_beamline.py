from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from xanes_live.demo.beamline import Beamline, main
from xanes_live.demo.programme import select


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_main_prints_json_lines_only(capsys, tmp_path) -> None:
    chosen = "sample-alignment,feo-aborted"
    assert (
        main(["--once", "--programme", chosen, "--time-scale", "0", "--data", str(tmp_path)]) == 0
    )
    said = lines(capsys.readouterr().out)
    assert [line["event"] for line in said] == ["ready", "run", "run", "done"]
    assert [line["entry"] for line in said[1:3]] == ["sample-alignment", "feo-aborted"]
    aborted = said[2]
    assert aborted["exit_status"] == "abort"
    assert aborted["stop_time"] > aborted["start_time"]
    assert aborted["num_events"] == {"dark": 1, "primary": 120}


def test_main_names_what_it_does_not_know(capsys) -> None:
    assert main(["--programme", "nothing"]) == 2
    assert "no entry nothing" in capsys.readouterr().err


def test_end_aborts_the_scan_that_runs_and_takes_no_further_one(tmp_path) -> None:
    output, started = io.StringIO(), threading.Event()
    beamline = Beamline(tmp_path, 0, 0.02, output)
    beamline.engine.subscribe(lambda name, doc: started.set(), "event")
    threading.Thread(target=lambda: (started.wait(), beamline.end()), daemon=True).start()
    beamline.run(select("vivianite")[0])
    beamline.run(select("feo")[0])
    said = lines(output.getvalue())
    assert [line["exit_status"] for line in said] == ["abort"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_cleanly(number) -> None:
    command = [sys.executable, "-m", "xanes_live.demo.beamline", "--loop", "--programme", "feo"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "ready"
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err
    said = lines(out)
    assert said[-1]["event"] == "done"
    assert said[-2]["exit_status"] in {"abort", "success"}
