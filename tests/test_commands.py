"""The tools of the shell: what is checked first, which model they take, what they read and print; help and completion."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, documented

from videobert.__main__ import main
from videobert.data.provenance import read_table, write_table
from videobert.pipeline import RECORDS, STAGES, TOOLS
from videobert.printing import Printer, table, to_json

pytestmark = pytest.mark.usefixtures("looked_once")
TEXT = "now let me show you how to [MASK] the [MASK]"
QUERY = "slice the tomato"


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory) -> Path:
    """A folder with a run in results/mine, as one with several runs has it: no results/pretrain."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(finished / "results", folder / "results/mine", symlinks=True)
    shutil.copytree(finished / "files", folder / "files")
    return folder


@pytest.fixture
def shell(project, monkeypatch, capsys):
    """Calls `videobert` in the project; gives (what it printed, its errors)."""
    monkeypatch.chdir(project)

    def call(*words: object, stdin: str = "") -> tuple[str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        ended = ""
        try:
            main([*map(str, words)])
        except SystemExit as error:
            ended = str(error.code or "")
        captured = capsys.readouterr()
        return captured.out, captured.err + ended

    return call


# --- what is checked first ---

MISTAKES = {
    "no [MASK]": (["fill", "no mask"], "the text has no [MASK] to fill: 'no mask'; write for example"),
    "no text": (["fill", ""], "the text is '', but must be words"),
    "no file": (["fill", TEXT, "--video", "x.mp4"], "x.mp4: there is no such file; give the path of a video"),
    "no files": (["caption", "x.mp4", "y.mp4"], "x.mp4: there is no such file, and neither is one of the 1 others"),
    "end first": (["forecast", "{video}", "--start", "3", "--end", "2"], "start 3 and end 2 are no piece of a video"),
    "no number": (["fill", TEXT, "--top_k", "0"], "top_k is 0, but must be a whole number, 1 or more"),
    "no index": (["search", "slice", "--index", "none"], "none/segments.parquet is missing: make the index with"),
    "no word": (["search", "?!"], "the text '?!' has no word to search for"),
    "no model": (["fill", TEXT], "results/pretrain holds no model: pass --model FOLDER; the stage pretrain makes one"),
    "no such model": (
        ["fill", TEXT, "--model", "./none"],
        "./none is neither a folder here nor the id of a model on the",
    ),
    "no decoder": (
        ["caption", "{video}", "--model", "{model}"],
        "which needs evaluate.annotations with a column sentence",
    ),
    "not one": (["caption", "{video}", "--model", "{model}", "--decoder", "."], ". holds no decoder: give the folder"),
    "two forms": (["search", "slice", "--json", "--csv"], "--json and --csv are two forms of the same answer"),
    "empty input": (["search", "-"], "the standard input is empty: give one text or path per line"),
    "clips": (["index", "{video}", "--clips", "0"], "clips is 0, but must be a whole number, 1 or more"),
    "no results": (["index", "."], ". is no results folder, having no corpus/manifest.parquet"),
}
CHECK = """
import json, sys
from videobert.__main__ import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as error:
        print(str(error.code).replace("\\n", "|"))
assert "torch" not in sys.modules
"""


def test_mistakes_are_found_before_torch_is_imported(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"a file")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(b"weights")
    places = {"{video}": "clip.mp4", "{model}": "model"}
    asked = [[places.get(word, word) for word in words] for words, _ in MISTAKES.values()]
    command = [sys.executable, "-c", CHECK, json.dumps(asked)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(MISTAKES)
    for line, (words, expected) in zip(said, MISTAKES.values(), strict=True):
        assert line.startswith(f"videobert {words[0]}: ") and expected in line and "|" not in line


def test_an_old_flag_is_gone(shell):
    assert "unrecognized arguments: --top 3" in shell("fill", TEXT, "--top", 3)[1]
    assert "argument --top_k: 'nan' is not a whole number" in shell("fill", TEXT, "--top_k", "nan")[1]


# --- which model ---


def test_an_index_takes_the_model_of_its_results_and_remembers_it(shell, project, tmp_path, monkeypatch):
    said = shell("fill", TEXT)[1]
    assert "results/pretrain holds no model: pass --model FOLDER, such as results/mine/pretrain" in said
    told, _ = shell("index", "results/mine", "--output", "found")
    assert told.endswith("search with: videobert search 'slice the onion' --index found\n")
    found = json.loads(shell("search", QUERY, "--index", "found", "--json")[0])["segments"]
    # From another folder, by another way: the index knows where its model lies.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(project / "found")
    assert json.loads(shell("search", QUERY, "--index", "link", "--json")[0])["segments"] == found
    # A results folder stands for its model.
    monkeypatch.chdir(project)
    assert (
        json.loads(shell("search", QUERY, "--index", "found", "--model", "results/mine", "--json")[0])["segments"]
        == found
    )
    # The whole project is moved; then the model is away.
    moved = shutil.copytree(project, tmp_path / "moved", symlinks=True)
    monkeypatch.chdir(moved)
    assert json.loads(shell("search", QUERY, "--index", "found", "--json")[0])["segments"] == found
    (moved / "results/mine/pretrain").rename(moved / "model")
    said = shell("search", QUERY, "--index", "found")[1]
    assert f"the model that made found is not in {moved}/results/mine/pretrain any more: pass --model FOLDER" in said
    assert shell("search", QUERY, "--index", "found", "--model", "model")[0]
    # An index of an earlier version remembers nothing.
    (moved / "found/model.json").unlink()
    said = shell("search", QUERY, "--index", "found")[1]
    assert "results/pretrain holds no model" in said


# --- what is printed ---


def test_hits_have_title_and_path_and_an_explained_score(shell, project):
    shell("index", "results/mine", "--output", "titled")
    (found, *_) = json.loads(shell("search", QUERY, "--index", "titled", "--json")[0])["segments"]
    assert found["video"].startswith("kitchen-") and " in " in found["title"] and found["title"].endswith("steps")
    assert (project / found["path"]).is_file() and Path(found["path"]).stem == found["video"]
    told, said = shell("search", f"{QUERY} xylophone", "--index", "titled")
    assert told.splitlines()[0].split() == ["score", "from", "to", "video", "title", "path"]
    assert found["title"] in told and found["path"] in told and "\nscore: cosine between the vectors" in told
    assert "the model never met xylophone (nearest: " in said
    # An earlier version's index has neither.
    videos = project / "titled/videos.parquet"
    earlier = read_table(videos).drop_columns(["title", "path"])
    write_table(earlier, videos, {"stage": "index"})
    (found, *_) = json.loads(shell("search", QUERY, "--index", "titled", "--json")[0])["segments"]
    assert found["title"] == found["path"] == ""


def test_lists_come_from_the_standard_input(shell, project, short):
    model = ["--model", "results/mine"]
    lines = shell("fill", "-", *model, "--json", stdin=f"{TEXT}\n\n[MASK] it\r\n")[0].splitlines()
    assert [json.loads(line)["text"] for line in lines] == [TEXT, "[MASK] it"]
    told, said = shell("caption", "-", *model, "--end", 6, "--csv", stdin=f"{short}\nnone.mp4\n{short}\n")
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [row["video"] for row in rows] == [str(short)] * 2 and rows[0]["caption"]
    assert "none.mp4: there is no such file" in said and said.endswith(
        "videobert caption: 1 of 3 videos have no answer"
    )
    told, _ = shell("index", "-", *model, "--output", "listed", "--json", stdin=f"{short}\n")
    assert json.loads(told)["segments"] == 3
    lines = shell("search", "-", "--index", "listed", "--json", stdin="slice it\nstir it\n")[0].splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["slice it", "stir it"]
    lines = shell("search", "-", "--index", "listed", stdin="slice it\nstir it\n")[0].splitlines()
    assert [line for line in lines if line in ("slice it", "stir it")] == ["slice it", "stir it"]


def test_csv_has_the_records_of_json(shell, project, short):
    asked = ["forecast", short, "--model", "results/mine", "--end", 6, "--top_k", 2]
    rows = list(csv.DictReader(io.StringIO(shell(*asked, "--csv")[0])))
    words = json.loads(shell(*asked, "--json")[0])["next"]
    assert [(row["video"], row["rank"]) for row in rows] == [(str(short), "1"), (str(short), "2")]
    assert [(float(row["probability"]), int(row["word"]), row["text"]) for row in rows] == [
        (word["probability"], word["word"], word["text"]) for word in words
    ]
    filled = shell("fill", TEXT, "--model", "results/mine", "--top_k", 2, "--csv")[0]
    rows = list(csv.DictReader(io.StringIO(filled)))
    assert [(row["mask"], row["rank"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]


def test_strangers_titles_do_no_harm(capsys):
    titles = ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "\t=1", 'say "hi", you', "plain", "clear\x1b[2J\x9b2J\u202e"]
    printer = Printer(as_json=False, as_csv=True)
    for title in titles:
        printer.answer({}, [{"score": -0.5, "title": title}], [], [])
    told = capsys.readouterr().out
    rows = list(csv.reader(io.StringIO(told, newline="")))
    assert rows[0] == ["score", "title"] and told.count("\r\n") == len(rows)  # RFC 4180
    assert all(row[0] == "-0.5" for row in rows[1:])
    assert [row[1] for row in rows[1:]] == [
        """'=HYPERLINK("x")""",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "' =1",
        'say "hi", you',
        "plain",
        "clear [2J 2J",
    ]
    table(["title"], [[title] for title in titles])
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
    title = f"{titles[-1]} é \udcff"  # the last one is of a file name that is not UTF-8
    line = to_json({"title": title})
    assert json.loads(line)["title"] == title and line.isprintable() and "é" in line


def test_the_examples_of_the_documentation_run(finished, shared, shell, tmp_path, monkeypatch):
    page = documented(finished, shared, tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^videobert [^|<>\n]+$", page, re.MULTILINE)
    assert {line.split()[1] for line in lines} == {"fill", "caption", "forecast", "index", "search"}
    for line in lines:
        told, said = shell(*shlex.split(line, comments=True)[1:])
        assert told and "videobert" not in said, line


# --- help and completion ---


def test_help_is_in_plain_words(capsys):
    for name in STAGES | RECORDS | TOOLS:
        with pytest.raises(SystemExit) as ended:
            main(["help", name])
        told = capsys.readouterr().out
        assert ended.value.code == 0 and f"usage: videobert {name} " in told
        assert not any(word in told for word in ("<class", "type:", "null, default", "==SUPPRESS=="))
    main(["help"])
    told = capsys.readouterr().out
    places = [told.index(f"\n  {name} ") for name in ("fill", "search", "config", "corpus", "report")]
    assert places == sorted(places)
    with pytest.raises(SystemExit, match="no command is called 'serach'; did you mean search"):
        main(["help", "serach"])


def test_a_stage_takes_its_settings_from_a_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("codebook: {branching: 7, depth: 2}\n", encoding="utf-8")
    given = {}
    monkeypatch.setattr("videobert.cli._made", lambda stage, values: given.update(values) or {})
    files = [f"--{name}=x" for name in ("manifest", "centroids", "statistics", "atlas")]
    with pytest.raises(TypeError):  # the stage is called with nothing
        main(["codebook", "--features", "x", *files, "--configfile", "mine.yaml", "--depth", "3"])
    assert (given["branching"], given["depth"], given["features"]) == (7, 3, ["x"]) and "configfile" not in given
    with pytest.raises(SystemExit):
        main(["codebook", "--configfile", "mine.yaml", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "at most 1024; configured: 7)" in told and "at most 8; configured: 2)" in told
    with pytest.raises(SystemExit, match=r"none\.yaml does not exist"):
        main(["codebook", "--configfile", "none.yaml", "--help"])
    (tmp_path / "wrong.yaml").write_text("codebook: {branchin: 7}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="did you mean branching"):
        main(["codebook", "--configfile", "wrong.yaml", "--help"])


COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p videobert | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
"$function" videobert "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_commands_flags_and_choices(tmp_path, capsys):
    main(["completion", "bash"])
    script = tmp_path / "videobert.bash"
    script.write_text(capsys.readouterr().out, encoding="utf-8")

    def completed(*words: str) -> list[str]:
        command = ["bash", "-c", COMPLETE, "bash", script, "videobert", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return done.stdout.split()

    assert completed("sea") == ["search"] and "codebook" in completed("c")
    assert completed("search", "--to") == ["--top_k"]
    assert completed("codebook", "--br") == ["--branching"]
    assert completed("features", "--device", "") == ["auto", "cpu", "cuda"]
    assert completed("retry", "results", "b") == ["blocked"]
    assert completed("help", "capt") == ["caption", "captioning"]
    assert completed("fill", "text", "--video", "READ") == ["README.md"]


@pytest.mark.parametrize("shell_name", ["zsh", "fish"])
def test_other_shells_have_a_script_that_they_can_read(shell_name, tmp_path, capsys):
    main(["completion", shell_name])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    assert "top_k" in script.read_text(encoding="utf-8")
    if shutil.which(shell_name):
        subprocess.run([shell_name, "-n", script], check=True)
