"""The notebook runs from top to bottom, and shows what it promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/tour.ipynb"
# In a process of its own: a client of kernels leaves threads and modules behind.
EXECUTE = """
import sys, jupyter_client, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
# Sockets in this folder: nobody else can take their ports.
kernel = jupyter_client.AsyncKernelManager(kernel_name="python3", transport="ipc")
nbclient.NotebookClient(notebook, km=kernel, timeout=60).execute()
nbformat.write(notebook, sys.argv[2])
"""


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_stored_without_outputs() -> None:
    assert code_cells(NOTEBOOK)
    for cell in code_cells(NOTEBOOK):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return the outputs of each cell by the last line of its source, by MIME type."""
    folder = tmp_path_factory.mktemp("tour")
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), "ran.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {}
    for cell in code_cells(folder / "ran.ipynb"):
        said = found.setdefault(cell["source"][-1].strip(), {})
        for output in cell["outputs"]:
            assert output["output_type"] != "error", output
            if output["output_type"] == "stream":
                said[output["name"]] = said.get(output["name"], "") + "".join(output["text"])
            else:
                said.update({kind: "".join(text) for kind, text in output["data"].items()})
    return found


def test_calls_answer_and_a_bad_one_says_where(shown: dict[str, dict[str, str]]) -> None:
    assert "(4, {'n': 1}, [4, 4, 5])" in shown["one, call.result(), many"]["text/plain"]
    assert shown["print(error)"]["stdout"] == "input.doc: expected a string, got 3\n"
    names = shown["[(one.id, one.version, one.effect) for one in rt.capabilities()]"]["text/plain"]
    assert re.findall(r"\('([\w.]+)'", names) == [
        "guest.echo", "native.echo", "text.total", "text.words",
    ]  # fmt: skip


def test_traces_are_a_table(shown: dict[str, dict[str, str]]) -> None:
    table = shown['rt.traces(capability="text.words")']["text/html"]
    assert table.startswith("<table>")
    assert table.count("<td>success</td>") == 4  # one call and three of the map
    assert table.count("<td>rejected</td>") == 1
    assert "labyrinth" not in table


def test_a_run_completes_and_shows_graph_and_timeline(shown: dict[str, dict[str, str]]) -> None:
    assert shown["run.result()"]["text/plain"] == "{'words': 13}"
    page = shown["run"]["text/html"]
    assert "completed" in page
    assert page.count("<svg") == 2
    for step in ("count", "sum", "say"):
        assert f"<title>{step}: completed</title>" in page


def test_events_and_rows_are_read_and_outlast_the_runtime(shown: dict[str, dict[str, str]]) -> None:
    events = shown["[(event.cursor, event.type, event.data) for event in seen]"]["text/plain"]
    cursors = [int(number) for number in re.findall(r"\((\d+), 'text.counted'", events)]
    assert cursors == list(range(1, 8))  # four calls, three items of the step; none of the refused
    assert "{'step': 'count', 'calls': 3" in shown["rt.sql(query, [run.id])"]["text/plain"]
    last = shown["print(again.run(run.id).status, again.run(run.id).result())"]
    assert last["stdout"] == "completed {'words': 13}\n"


def test_nothing_is_said_on_standard_error(shown: dict[str, dict[str, str]]) -> None:
    assert [said["stderr"] for said in shown.values() if "stderr" in said] == []
