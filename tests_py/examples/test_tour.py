"""The notebook runs from top to bottom, and shows what it promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/tour.ipynb"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_stored_without_outputs() -> None:
    raw = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return the outputs of each cell by the last line of its source, by MIME type."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = str(tmp_path_factory.mktemp("tour"))
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    found: dict[str, dict[str, str]] = {}
    for cell in code_cells(notebook):
        said = found.setdefault(cell.source.splitlines()[-1].strip(), {})
        for output in cell.outputs:
            assert output.output_type != "error", output
            if output.output_type == "stream":
                said[output.name] = said.get(output.name, "") + output.text
            else:
                said.update(output.data)
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
