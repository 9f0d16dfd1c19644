"""notebooks/tour.ipynb opens in Jupyter and runs on a finished project, cell by cell."""

from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks/tour.ipynb"


def code() -> list[str]:
    """The sources of its code cells. The clip is one of the finished project's."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert "NUMBER = 1000 " in cells[0]
    return [cells[0].replace("NUMBER = 1000 ", "NUMBER = 1 "), *cells[1:]]


@pytest.fixture
def beside(tmp_path, monkeypatch) -> Path:
    """A folder like the repository. Jupyter runs a notebook in its own folder."""
    matplotlib.use("agg")  # no window
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def test_it_is_a_valid_notebook_of_ten_cells_and_a_page_that_loads_quickly():
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4 and len(code()) == 10
    assert NOTEBOOK.stat().st_size < 300_000
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(output.output_type == "error" for output in outputs)


def test_it_runs_from_the_first_cell_to_the_last(finished, looked_once, beside):
    from matplotlib import pyplot

    (beside / "results").symlink_to(finished / "results")
    (beside / "build/tour").mkdir(parents=True)
    (beside / "build/tour/kitchen-1.mp4").symlink_to(finished / "results/download/0001/kitchen-1.mp4")
    names: dict = {}
    with matplotlib.rc_context():
        for number, cell in enumerate(code(), 1):
            exec(compile(cell, f"{NOTEBOOK.name}, code cell {number}", "exec"), names)
        figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
        pictures = [axes for figure in figures for axes in figure.axes if axes.images]
        pyplot.close("all")
    steps = names["steps"]
    assert len(figures) == 7
    # A frame of each step and each hit, the one before the forecast and those of its words, the features, two heat maps.
    assert len(pictures) >= len(steps) + len(names["hits"]) + 1 + 1 + 2
    assert names["scores"].shape == (len(steps), len(steps)) and np.isfinite(names["scores"]).all()
    assert [len(masks) for masks in names["answers"].values()] == [2, 2]
    assert set(names["pairs"].kind) == {"text-video"} and len(names["forecast"]) == 4


def test_without_a_model_it_says_in_a_line_what_to_run(beside):
    with pytest.raises(
        SystemExit, match=r"^no model in \S+/results/pretrain: run `make demo` in the repository, then .*$"
    ):
        exec(code()[0], {})
