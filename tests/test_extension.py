"""What CONTRIBUTING.md says of a new stage, task, setting and engine: added to a copy of the project, and run there.

tests/extension has the files that are new. What is inserted into others stands here, as CONTRIBUTING.md lists it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, forks, kitchen_video
from test_upgrade import restored

from videobert.data.provenance import FORMAT, read_table

pytestmark = pytest.mark.slow
NEW = Path(__file__).parent / "extension"


class Copy:
    """A copy of the project that can be changed, and a finished run to work on."""

    def __init__(self, folder: Path):
        self.root, self.project = folder / "copy", folder / "project"
        for name in (
            "videobert",
            "workflow",
            "envs",
            "profiles",
            "scripts",
            "Snakefile",
            "config.yaml",
            "requirements.lock",
        ):
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, self._in(name))
        restored(self.project, FORMAT)

    def _in(self, name: str) -> Path:
        self.root.mkdir(exist_ok=True)
        return self.root / name

    def add(self, name: str, place: str) -> None:
        """A file of tests/extension."""
        shutil.copy(NEW / name, self.root / place / name)

    def insert(self, file: str, after: str, line: str) -> None:
        """A line after the first that holds these words."""
        lines = (self.root / file).read_text(encoding="utf-8").splitlines(keepends=True)
        number = next(number for number, text in enumerate(lines, 1) if after in text)
        lines.insert(number, line + "\n")
        (self.root / file).write_text("".join(lines), encoding="utf-8")

    def replace(self, file: str, words: str, others: str) -> None:
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(words) == 1, (file, words)
        (self.root / file).write_text(text.replace(words, others), encoding="utf-8")

    def write_environments(self) -> None:
        """What scripts/lock.py does, but for the lock, which asks the package index."""
        code = "import sys; sys.path.insert(0, 'scripts'); import lock; lock.write_environments()"
        subprocess.run([sys.executable, "-c", code], cwd=self.root, check=True)
        assert "pyarrow==" in (self.root / "envs/pace.yaml").read_text(encoding="utf-8")

    def run(self, *command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=self.project, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def snakemake(self, *words: str) -> str:
        files = ["--snakefile", str(self.root / "Snakefile"), "--directory", str(self.project), "--cores", "2"]
        done = forks()(*files, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path) -> Copy:
    return Copy(tmp_path)


def test_a_stage_and_a_task_are_added(project):
    project.add("pace.py", "videobert/stages")
    project.insert(
        "videobert/pipeline.py", "STAGES = {", '    "pace": ("stages.pace", "measure how fast people speak"),'
    )
    project.insert(
        "videobert/config.py", "from videobert.stages.frames", "from videobert.stages.pace import PaceSettings"
    )
    project.insert("videobert/config.py", "SECTIONS: ", '    "pace": (PaceSettings,),')
    project.replace("videobert/layout.py", "    # Of every job\n", PACE + "\n    # Of every job\n")
    project.add("pace.smk", "workflow/rules")
    project.insert("workflow/Snakefile", "rules/tokens.smk", 'include: "rules/pace.smk"')

    project.add("lengths.py", "videobert/evaluation")
    project.insert("videobert/pipeline.py", "STAGES = {", '    "lengths": ("evaluation.lengths", "measure lengths"),')
    line = "from videobert.evaluation.lengths import LengthsSettings"
    project.insert("videobert/config.py", "from videobert.evaluation.forecasting", line)
    project.insert("videobert/config.py", "SECTIONS: ", '    "lengths": (LengthsSettings,),')
    project.replace("videobert/evaluation/task.py", '"forecasting", "scaling"]', '"forecasting", "scaling", "lengths"]')
    project.add("lengths.smk", "workflow/rules")
    project.insert("workflow/Snakefile", "rules/probe.smk", 'include: "rules/lengths.smk"')

    project.write_environments()

    # Nothing that was there is made anew.
    assert "Nothing to be done" in project.snakemake("report", "-n")
    overlay = {"pace": {"shortest": 2}, "evaluate": {"tasks": ["objectives", "lengths"]}}
    (project.project / "overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    said = project.snakemake("pace", "evaluate", "--configfile", str(project.project / "overlay.yaml"))
    assert "pretrain_" not in said and "rule objectives" not in said
    table = read_table(project.project / "results/pace/pace.parquet").to_pylist()
    assert len(table) == 4 and all(row["pace"] > 1 for row in table)
    metrics = json.loads((project.project / "results/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert metrics["lengths"]["video"] > 0 and "objectives" in metrics["protocol"]
    assert "--shortest" in project.run("videobert", "pace", "--help")
    assert "shortest: 1" in project.run("videobert", "config")


PACE = """
    @property
    def pace(self) -> str:
        return f"{self.folder('pace')}/pace.parquet"
"""


def test_a_setting_is_added_with_a_field_and_its_use(project):
    file = "videobert/stages/vocabulary.py"
    field = '    sentences: Count | None = None\n    """Sentences that it is trained on, at most; null: all."""'
    project.replace(file, '(the paper: 30,000)."""\n', f'(the paper: 30,000)."""\n{field}\n')
    project.replace(file, "import Inputs, Outputs,", "import Count, Inputs, Outputs,")
    project.replace(file, "train(_train_texts(inputs), ", "train(_train_texts(inputs)[: settings.sentences], ")
    project.replace(file, '{"size": settings.size}', '{"size": settings.size, "sentences": settings.sentences}')

    assert "Nothing to be done" in project.snakemake("report", "-n")
    assert "--sentences" in project.run("videobert", "vocabulary", "--help")
    (project.project / "overlay.yaml").write_text(yaml.safe_dump({"vocabulary": {"sentences": 1}}), encoding="utf-8")
    before = (project.project / "results/vocabulary/tokenizer.json").read_bytes()
    project.snakemake("vocabulary", "--configfile", str(project.project / "overlay.yaml"))
    assert (project.project / "results/vocabulary/tokenizer.json").read_bytes() != before


def test_an_engine_is_added_by_its_contract(project, shared):
    project.add("beep_engine.py", "videobert/speech")
    line = "from videobert.speech.beep_engine import BEEP"
    project.insert("videobert/speech/whisper.py", "from videobert.media.decoding", line)
    project.replace("videobert/speech/whisper.py", "ENGINES = {", 'ENGINES = {"beep": BEEP, ')
    project.replace(
        "videobert/stages/transcribe.py", '"openai-whisper", "captions"]', '"openai-whisper", "captions", "beep"]'
    )
    (project.project / "videos.tsv").write_text(f"source\n{kitchen_video(shared, 0)}\n", encoding="utf-8")
    config = {"results": "beeps", "transcribe": {"engine": "beep"}}
    (project.project / "overlay.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    project.snakemake("transcribe", "--configfile", str(project.project / "overlay.yaml"))
    (table,) = (project.project / "beeps/transcribe").glob("*.parquet")
    assert {row["text"] for row in read_table(table).to_pylist()} == {"Beep."}
