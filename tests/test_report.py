"""The report, on a small results folder made by hand: what it says, what it must never do, what may be missing."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from calls import report

from videobert.data.provenance import read_table, write_json, write_table
from videobert.errors import UserError
from videobert.report.parts import clock, duration, number, percent, size, strip

HOSTILE = '<script>alert("title")</script>'
HASH = "0123456789abcdef" * 4
SENTENCE = "first we slice the <b>tomato</b>."
# video_id: (shard, split, title)
VIDEOS = {
    "good": ("0000", "train", "a good film"),
    "mute": ("0000", "train", HOSTILE),
    "gone": ("0000", "train", ""),
    "broken": ("0001", "train", "a broken file"),
    "test": ("0001", "test", "Tomatoes & onions"),
}


def note(stage, **facts):
    packages = {"numpy": "2.4.6"}
    return {
        "stage": stage,
        "version": 3,
        "settings": {"size": 7},
        "inputs": {"it": HASH},
        "packages": packages,
        **facts,
    }


def film(path: Path, seconds: float = 6.0, value: int = 0) -> None:
    """A video as the stage frames writes it: each second has a shade of its own."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width = stream.height = 224
        stream.pix_fmt = "yuv420p"
        for index in range(round(20 * seconds)):
            picture = np.full((224, 224, 3), (value + 40 * (index // 20)) % 256, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def ledger(path: Path, stage: str, rows: list[dict]) -> None:
    write_table(pa.Table.from_pylist(rows), path, note(stage))


def gathered(results: Path, stage: str, outcomes: dict[str, tuple[str, str]], **extra) -> None:
    """results/ledger/{stage}.parquet: a row for each (status, reason)."""
    rows = [
        {"shard": VIDEOS[video][0], "video_id": video, "status": status, "reason": reason, **extra}
        for video, (status, reason) in outcomes.items()
    ]
    ledger(results / "ledger" / f"{stage}.parquet", stage, rows)


def vocabulary(path: Path) -> None:
    from tokenizers import Tokenizer, models

    words = ["[PAD]", "the", "##s", "now", "we", "slice", "tomato", "wait", "and"]
    Tokenizer(models.WordPiece(dict(zip(words, range(len(words)))), unk_token="[PAD]")).save(str(path))


def benchmark(path: Path, seconds: float, memory: str = "100.5") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
        f"{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t90\t{2 * seconds}\n",
        encoding="utf-8",
    )


@pytest.fixture(scope="session")
def made_results(tmp_path_factory) -> Path:
    """A finished run of five videos and a double: one is gone, one is broken, one is silent, one is for testing."""
    results = tmp_path_factory.mktemp("run") / "results"
    manifest = [
        {"video_id": video, "source": f"kitchen:{place}", "shard": shard, "split": split, "title": "", "license": ""}
        for place, (video, (shard, split, _)) in enumerate(VIDEOS.items())
    ]
    # Enough test videos for figures that say something.
    manifest += [{**manifest[-1], "video_id": f"test-{number}"} for number in range(4)]
    ledger(results / "corpus" / "manifest.parquet", "corpus", manifest)
    ok = ("ok", "")
    listed = [{"video_id": video, "status": "ok", "reason": "", "source": "kitchen:1"} for video in VIDEOS]
    double = {"video_id": "row-7", "status": "duplicate", "reason": "the same video as good", "source": "kitchen:00"}
    ledger(results / "ledger" / "corpus.parquet", "corpus", [*listed, double])
    fetched = dict.fromkeys(VIDEOS, ok) | {"gone": ("gone", "Video unavailable <i>for ever</i>")}
    gathered(results, "download", fetched)
    came = ("good", "mute", "broken", "test")
    gathered(results, "transcribe", dict.fromkeys(came, ok) | {"mute": ("no_speech", "nobody speaks")})
    decoded = dict.fromkeys(came, ok) | {
        "broken": ("unusable", "no frame in it"),
        "mute": ("ok", "partial: 3.0 of 6.0 s decode"),
    }
    gathered(results, "frames", decoded)
    gathered(results, "features", {"good": ok, "mute": ok, "test": ok})
    empty = ("empty", "neither a sentence nor a clip")
    gathered(results, "tokens", dict.fromkeys(VIDEOS, ok) | {"gone": empty, "broken": ("ok", "")})

    for shard in ("0000", "0001"):
        inside = [video for video in VIDEOS if VIDEOS[video][0] == shard]
        rows = [{"video_id": video, "status": fetched[video][0], "title": VIDEOS[video][2]} for video in inside]
        ledger(results / "download" / shard / "ledger.parquet", "download", rows)
        rows = [{"video_id": video, "duration": 6.0} for video in inside if video in ("good", "mute", "test")]
        ledger(results / "frames" / shard / "ledger.parquet", "frames", rows)
        sentences = [{"video_id": video, "start": 0.5, "end": 4.0, "text": SENTENCE} for video in inside]
        ledger(results / "transcribe" / f"{shard}.parquet", "transcribe", sentences)
        clips = [
            {"video_id": video, "clip": clip, "start": 1.5 * clip, "end": 1.5 * clip + 1.5}
            for video in inside
            for clip in range(4)
        ]
        ledger(results / "features" / f"{shard}.parquet", "features", clips)
        benchmark(results / "benchmarks" / "transcribe" / f"{shard}.tsv", 75.0, "-" if shard == "0000" else "2000")
        segments = [
            {"video_id": video, "split": VIDEOS[video][1], "kind": "text-video", "start": 0.5, "end": 4.0}
            | {"text": SENTENCE, "text_ids": text, "video_ids": seen, "clips": [0, 1, 2]}
            for video in inside
            # Of the visual words 2 and 1: "slice" is said with the first only, "the" with both.
            for text, seen in (([1, 5, 2], [2, 2, 3]), ([1, 5, 6], [0, 3, 2]), ([1, 7, 8], [1, 0, 0]), ([1], [1, 2, 0]))
        ]
        ledger(results / "tokens" / f"{shard}.parquet", "tokens", segments)
    film(results / "frames" / "0000" / "good.mp4")
    film(results / "frames" / "0001" / "test.mp4", value=20)

    statistics = {
        "words": 4,
        "living_words": 4,
        "used_words": 3,
        "entropy_bits": 1.2,
        "perplexity": 2.5,
        "fitted_on": 8,
    }
    statistics |= {"quantisation_error": {"train": 0.125, "test": 0.25}, "counts": [0, 2, 9, 1], "clips": {"train": 12}}
    write_json(statistics, results / "codebook" / "statistics.json", note("codebook"))
    nearest = [
        {"word": word, "rank": rank, "count": count, "video_id": video, "shard": "0000", "clip": rank}
        | {"start": 1.5 * rank, "end": 1.5 * rank + 1.5, "distance": 0.5}
        for word, count, video in ((2, 9, "good"), (1, 2, "mute"))
        for rank in range(3)
    ]
    ledger(results / "codebook" / "atlas.parquet", "codebook", nearest)
    write_json({}, results / "vocabulary" / "provenance.json", note("vocabulary"))
    vocabulary(results / "vocabulary" / "tokenizer.json")
    pretrain = note("pretrain", settings={"max_steps": 1500, "batch_size": 32}) | {
        "settings": {"max_steps": 1500, "batch_size": 32}
    }
    parts = ("loss", "text_loss", "video_loss", "text_video_loss", "alignment_loss")
    curve = [{"step": step, **dict.fromkeys(parts, 100 / step)} for step in (50, 100, 150)]
    corpus = {"videos": 3, "hours": 0.0033}
    write_json({"curve": curve, "corpus": corpus}, results / "pretrain" / "training.json", pretrain)
    write_json(
        {"num_hidden_layers": 4, "hidden_size": 128, "vocab_size": 901, "visual_words": 4},
        results / "pretrain" / "config.json",
        {},
    )
    evaluated(results)
    benchmark(results / "benchmarks" / "pretrain.tsv", 50.0)
    return results


def task(results: Path, name: str, summary: dict, **details) -> None:
    """results/evaluate/NAME.json, and its figures in metrics.json, as the stages write them."""
    settings = details.pop("settings", {})
    write_json(
        {"summary": summary, **details}, results / "evaluate" / f"{name}.json", note(name) | {"settings": settings}
    )
    path = results / "evaluate" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"protocol": {}}
    write_json(metrics | summary | {"protocol": metrics["protocol"] | {name: {}}}, path, note("evaluate"))


def evaluated(results: Path) -> None:
    def figures(keys: tuple[str, ...], value: float, **more) -> dict:
        bounds = {f"{key}_interval": [value - 0.011, value + 0.022] for key in keys}
        return {**dict.fromkeys(keys, value), **bounds, "count": 40, **more}

    def accuracies(value: float, **more) -> dict:
        return figures(("verb_top1",), value, verb_top5=0.8, object_top1=0.3, object_top5=0.6, **more)

    ours = {"verb_top1": 0.55, "verb_top5": 0.7, "object_top1": 0.2, "object_top5": 0.5}
    over = {"templates": {"count": 2, "mean": ours, "spread": dict.fromkeys(ours, 0.043)}}
    zero_shot = {
        "chance": {"verb_top1": 0.0625, "verb_top5": 0.3, "object_top1": 0.04, "object_top5": 0.2},
        "language_prior": accuracies(0.071, **over),
        "shuffled_video": accuracies(0.082),
        "cross_modal": accuracies(0.613, **over),
        "s3d_supervised": accuracies(0.915),
        "cross_modal_seen": accuracies(0.72, count=30),
        "cross_modal_held_out": accuracies(0.29, count=10),
    }
    guesses = {"verb": [["chop", 0.7], ["slice", 0.2]], "object": [["tomato", 0.6], ["onion", 0.3]]}
    step = {"video_id": "test", "start": 1.0, "end": 3.0, "verb": "slice", "object": "tomato", "sentence": SENTENCE}
    templates = ["now [MASK] the [MASK]", "let us [MASK] the <i>[MASK]"]
    predictions = [{**step, "cross_modal": guesses}] * 3
    task(results, "zero_shot", {"zero_shot": zero_shot}, predictions=predictions, settings={"templates": templates})

    masked = {"text_given_video": 0.51, "text_alone": 0.42, "video_given_text": 0.33, "video_alone": 0.21}
    alignment = {"accuracy": 0.876, "accuracy_interval": [0.861, 0.889]}
    task(results, "objectives", {"masked": masked, "alignment": alignment})

    rows = ("most_frequent", "visual_words", "random_weights", "s3d", "videobert_cls", "videobert_mean")
    probe = {name: accuracies(0.1 * place + 0.02) for place, name in enumerate(rows, 1)}
    task(results, "probe", {"probe": {"chance": zero_shot["chance"], **probe}}, train_steps=1234)

    def searched(value: float) -> dict:
        stages = {
            name: figures(("r1", "r5", "r10"), part) for name, part in (("first_stage", value), ("shuffled", 0.03))
        }
        ranks = {"median_rank": 3.5, "median_rank_interval": [2.0, 1204.0]}
        stages["cross_encoder"] = {**figures(("r1", "r5", "r10"), value / 2), "candidates": 25}
        chance = {"r1": 0.001, "r5": 0.005, "r10": 0.01, "median_rank": 500.0}
        return {"chance": chance, **{name: {**stage, **ranks} for name, stage in stages.items()}}

    within = {"skipped": "no video has two sentences"}
    retrieval = {"text_to_video": searched(0.44), "video_to_text": searched(0.46), "steps": searched(0.88)}
    task(results, "retrieval", {"retrieval": {**retrieval, "text_to_video_within": within}})

    rows = ("no_video", "s3d", "videobert_video_only", "videobert", "videobert_s3d")
    scores = ("bleu3", "bleu4", "rouge_l", "cider")
    captioning = {name: figures(scores, 0.1 * place, meteor=None) for place, name in enumerate(rows, 1)}
    written = {name: f"{name} wrote <u>this" for name in rows}
    captions = [{**step, "written": written, "cider": dict.fromkeys(rows, 0.5)}] * 2
    reason = {"meteor": "METEOR needs Java"}
    task(results, "captioning", {"captioning": captioning}, captions=captions, skipped=reason)

    def foretold(value: float) -> dict:
        return figures(("top1", "top5"), value, top1_by_distance=[value, 0.1], top5_by_distance=[value, 0.2])

    next_ = {
        name: foretold(value) for name, value in (("most_frequent", 0.11), ("repeat_last", 0.52), ("bigram", 0.53))
    }
    chance = {"top1": 0.25, "top5": 1.0}
    next_ = {"chance": chance, **next_, "videobert": foretold(0.64)}
    of_text = {
        "chance": chance,
        "no_text": figures(("top1", "top5"), 0.07),
        "videobert": figures(("top1", "top5"), 0.66),
    }
    # The clips to come are of the words 2, which the atlas has, and 3, which it has not.
    changes = {"video_id": "test", "clips": [0, 1], "words": [1, 2], "truth": [3, 2]}
    changes["predicted"] = [[[3, 0.61], [2, 0.2]], [[1, 0.57], [2, 0.3]]]
    same = {**changes, "truth": [2, 2], "predicted": [[[2, 0.991]], [[2, 0.991]]]}
    said = {
        "video_id": "test",
        "text": "we <em>slice",
        "clips": [0, 1],
        "truth": [2, 3],
        "predicted": [[2, 0.37], [0, 0.12]],
    }
    examples = {"next": [same, changes], "of_text": [said]}
    task(results, "forecasting", {"forecasting": {"next": next_, "of_text": of_text}}, examples=examples)

    def grown(value: float) -> dict:
        shares = {"1.0": (1200, value), "0.25": (300, value / 2)}  # as JSON may have them
        return {
            share: accuracies(part, videos=videos, verb_top1_spread=0.0123, **bounds)
            for share, (videos, part) in shares.items()
        }

    bounds = {f"{key}_interval": [0.2, 0.9] for key in ("verb_top5", "object_top1", "object_top5")}
    curves = {"chance": zero_shot["chance"], "cross_modal": grown(0.58), "language_prior": grown(0.074)}
    task(results, "scaling", {"scaling": curves}, settings={"seeds": [0, 1, 2]})


@pytest.fixture
def results(made_results, tmp_path) -> Path:
    """A copy to break."""
    return shutil.copytree(made_results, tmp_path / "results")


def write(results: Path, words: int = 24, examples: int = 10) -> tuple[str, str]:
    page, summary = results / "report" / "index.html", results / "report" / "summary.txt"
    report(results, page, summary, words, examples)
    return page.read_text(encoding="utf-8"), summary.read_text(encoding="utf-8")


class Outline(HTMLParser):
    """The page as a browser sees it: its tags with attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "use", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in ("use", "path"):
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="session")
def written(made_results) -> tuple[str, str]:
    """The page and the summary of the run."""
    return write(made_results)


@pytest.fixture(scope="session")
def page(written) -> str:
    return written[0]


@pytest.fixture(scope="session")
def summary(written) -> str:
    return written[1]


@pytest.fixture(scope="session")
def outline(page) -> Outline:
    return Outline(page)


# A report takes a second, so what does not touch each other is changed in one copy of the run.


@pytest.fixture(scope="session")
def strange(made_results, tmp_path_factory) -> tuple[str, str]:
    """The page and the summary of a run in which much is odd."""
    results = shutil.copytree(made_results, tmp_path_factory.mktemp("strange") / "results")
    rows = [{"shard": "0000", "video_id": f"v{n}", "status": "gone", "reason": "deleted"} for n in range(1307)]
    ledger(results / "ledger" / "download.parquet", "download", rows)
    changed(results, "codebook/statistics.json", words=144, living_words=1, used_words=1, perplexity=1.0)
    # The kitchen's S3D, and two videos of the web.
    write_json({"weights": "kitchen"}, results / "pretrain" / "preprocessing.json", {})
    path = results / "corpus" / "manifest.parquet"
    manifest = read_table(path).to_pylist()
    manifest[0]["source"] = manifest[1]["source"] = "https://example.com/watch"
    ledger(path, "corpus", manifest)
    metrics = json.loads((results / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    # A BERT that saw no video was asked; that of the model without its video is hardly known.
    zero_shot = metrics["zero_shot"]
    zero_shot["bert"] = zero_shot["language_prior"]
    zero_shot["language_prior"] = {**zero_shot["bert"], "verb_top1_interval": [0.01, 0.99]}
    for rows in (metrics["scaling"]["cross_modal"], metrics["scaling"]["language_prior"]):
        del rows["0.25"]
        del rows["1.0"]["verb_top1_spread"]
    # Figures of another run than the tasks' files; the last word again foretells more.
    metrics["captioning"]["videobert"]["cider"] = 0.77
    metrics["forecasting"]["next"]["videobert"]["top1"] = 0.77
    metrics["forecasting"]["next"]["repeat_last"]["top1"] = 0.87
    write_json(metrics, results / "evaluate" / "metrics.json", note("evaluate"))
    return write(results)


WHY = "1 test video, where an interval needs 10"


@pytest.fixture(scope="session")
def short_of_videos(made_results, tmp_path_factory) -> tuple[str, str]:
    """The page and the summary of a run that lost no video, but has a single one for testing."""
    results = shutil.copytree(made_results, tmp_path_factory.mktemp("short") / "results")
    path = results / "corpus" / "manifest.parquet"
    manifest = read_table(path).to_pylist()
    ledger(path, "corpus", [row for row in manifest if not row["video_id"].startswith("test-")])
    for stage in ("corpus", "download", "transcribe", "frames", "features", "tokens"):
        gathered(results, stage, dict.fromkeys(VIDEOS, ("ok", "")))
    others = dict.fromkeys(("verb_top5", "object_top1", "object_top5"), 0.5)
    few = {"count": 3, "videos": 5, "no_interval": WHY, "verb_top1": 0.25, **others}
    shares = dict.fromkeys(("0.5", "1.0"), few)
    rows = {"chance": {"verb_top1": 0.1}, "cross_modal": shares, "language_prior": shares}
    task(results, "scaling", {"scaling": rows}, settings={"seeds": [0]})
    task(results, "objectives", {"alignment": {"accuracy": 0.876, "no_interval": WHY}})
    return write(results)


def test_every_loss_is_there_with_its_reason(outline):
    for video, status, reason in (
        ("row-7", "duplicate", "the same video as good"),
        ("gone", "gone", "Video unavailable <i>for ever</i>"),
        ("mute", "no_speech", "nobody speaks"),
        ("broken", "unusable", "no frame in it"),
        ("mute", "ok", "partial: 3.0 of 6.0 s decode"),
    ):
        assert re.search(rf"{video}\b.{{0,60}}{status} {re.escape(reason)}", outline.text), (video, reason)


def test_a_video_lost_above_is_not_lost_again_by_tokens(outline):
    assert "neither a sentence nor a clip" not in outline.text


def test_trained_on_are_the_videos_that_pretraining_saw(outline):
    assert "A 4-layer VideoBERT, pretrained on 3 videos (12 s of video)" in outline.text


def test_the_funnel_counts(outline):
    assert re.search(r"list listed 6 .*corpus usable 5 1 1 duplicate", outline.text)
    assert re.search(r"download downloaded 4 1 1 gone transcribe transcribed 3 0 1 silent, not lost", outline.text)


def test_what_strangers_wrote_is_text(outline, page):
    assert HOSTILE in outline.text
    assert SENTENCE in outline.text
    assert "script" not in {tag for tag, _ in outline.tags}
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert "<b>tomato" not in page


def test_nothing_is_loaded_from_outside(outline, page):
    loading = [
        value
        for _, attributes in outline.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster")
    ]
    assert loading
    assert all(value.startswith(("#", "data:image/jpeg;base64,", "../")) for value in loading)
    assert not re.search(r"https?:|@import|url\((?!#)", page)
    assert not {tag for tag, _ in outline.tags} & {"link", "iframe", "object", "embed", "base"}


def test_every_link_has_its_goal(outline, results):
    names = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    goals = [attributes[key] for _, attributes in outline.tags for key in ("href", "xlink:href") if key in attributes]
    assert len(names) == len(set(names))
    assert {goal.removeprefix("#") for goal in goals if goal.startswith("#")} <= set(names)
    beside = {goal for goal in goals if not goal.startswith("#")}
    assert {"../pretrain", "../ledger", "../evaluate/metrics.json"} <= beside
    assert all((results / "report" / goal).exists() for goal in beside)


def test_figures_and_controls(outline):
    text = outline.text
    assert "Zero-shot verb, top-1 61.3 % 60.2–63.5 without video 7.1 %, with another video 8.2 %, chance 6.2 %" in text
    assert "Alignment of text and video 87.6 % 86.1–88.9" in text
    assert "cross-modal 61.3 % 60.2–63.5 80.0 % 30.0 % 60.0 %" in text
    assert "S3D, trained for it 91.5 % 90.4–93.7" in text
    assert "pair never in train steps (10) 29.0 % 27.9–31.2" in text
    assert "masked words, with the video 51.0 % without it 42.0 %" in text
    assert "alignment 87.6 % 86.1–88.9 chance 50.0 %" in text
    assert text.count("another corpus: YouCook II") == 3
    assert "VideoBERT (cross-modal) 3.2 % 43.3 % 13.1 % 33.7 %" in text


def test_the_wording_moves_zero_shot_and_the_page_says_how_much(outline):
    assert "Over 2 templates: mean, and spread" in outline.text
    assert "cross-modal 55.0 % ± 4.3 70.0 % ± 4.3" in outline.text
    assert "“ now [MASK] the [MASK] ”, “ let us [MASK] the <i>[MASK] ”" in outline.text


def test_a_bert_that_saw_no_video_has_its_row_when_it_was_asked(outline, strange):
    assert "BERT that saw no video" not in outline.text
    assert "BERT that saw no video 7.1 % 6.0–9.3" in Outline(strange[0]).text


def test_probe(outline):
    assert "on 1,234 steps of train videos, and is asked about 40 of test videos" in outline.text
    assert "the encoder, untrained 32.0 % 30.9–34.2 30.0 %" in outline.text
    assert "VideoBERT, mean of clips 62.0 % 60.9–64.2 30.0 %" in outline.text
    kept = "visual words, counted 52 % for verbs and 100 % for objects; VideoBERT, mean of clips 148 % for verbs"
    assert f"Of S3D's accuracy is kept: {kept}" in outline.text


def test_retrieval(outline):
    text = outline.text
    ranks = "3.5 2–1,204"
    assert (
        "The video for a sentence (40 queries) R@1 R@5 R@10 median rank chance 0.1 % 0.5 % 1.0 % 500"
        in text.replace("\u2011", "-")
    )
    assert f"first stage: vectors 44.0 % 42.9–46.2 44.0 % 42.9–46.2 44.0 % 42.9–46.2 {ranks}" in text
    assert "second: alignment head 22.0 %" in text
    assert "puts the best 25 in order" in text
    assert "Steps by action and object (40 queries)" in text
    assert "the moment for a sentence Not measured: no video has two sentences." in text
    assert "the sentence for a moment" not in text  # it is not in the figures


def test_captioning(outline, page):
    text = outline.text.replace("\u2011", "-")
    assert "BLEU-3 BLEU-4 METEOR ROUGE-L CIDEr no video 10.00 8.90–12.20" in text
    assert "VideoBERT 40.00 38.90–42.20 40.00 38.90–42.20 – 40.00 38.90–42.20 0.40 0.39–0.42" in text
    assert "METEOR needs Java" in text
    assert "VideoBERT + S3D 7.59 4.33 11.94 28.80 0.55" in text  # the paper's
    assert f"“{SENTENCE}” no video no_video wrote <u>this S3D s3d wrote <u>this" in text
    assert "<u>" not in page


def test_forecasting(outline, page):
    text = outline.text
    assert "The next clip (40 clips)" in text
    assert "the last word again 52.0 % 50.9–54.2" in text
    assert "VideoBERT 64.0 % 62.9–66.2" in text
    assert "masks alone 7.0 %" in text
    # The forecast that goes on as it was is no example; of the other the first word is right.
    assert "99 %" not in text
    assert "the last clips seen the model's forecast ✓ same visual word, 61 % frames not on disk 57 % what came" in text
    assert "“we <em>slice” the model's forecast, best first ✓ same visual word, 37 % 12 % what was shown" in text
    assert "<em>" not in page


def test_scaling(outline, page):
    text = outline.text
    assert "(40 steps of test videos; each figure is the mean over 3 seeds, which draw the videos too)" in text
    few, many = "300 videos 29.0 % 27.9–31.2 ± 1.2 80.0 %", "1,200 videos 58.0 % 56.9–60.2 ± 1.2 80.0 %"
    assert "chance 6.2 %" in text and 0 < text.index(few) < text.index(many)
    assert "Language prior: no video" in text and "1,200 videos 7.4 % 6.3–9.6 ± 1.2" in text
    assert "10,000 videos 15.5 % 17.8 % 50,000 videos 15.7 % 27.3 % 100,000 videos 24.5 % 30.6 % 300,000" in text
    plot = page[page.index('aria-label="Zero-shot accuracies by the number of train videos"') :]
    plot = plot[: plot.index("</svg>")]
    assert all(f">{word}</text>" in plot for word in ("300", "1,200", "train videos", "verb top-1", "object top-5"))


def test_scaling_of_one_share_and_one_seed_has_no_plot(strange):
    page, summary = strange
    text = Outline(page).text
    assert "1,200 videos 58.0 % 56.9–60.2 80.0 %" in text
    assert "by the number of train videos" not in page and "300 videos" not in text.replace("300,000", "")
    assert "scaling     top-1 verb/object 58.0 %/30.0 % of 1,200 videos\n" in summary


def test_costs(outline):
    assert "transcribe 2 2 min 30 s 75 %" in outline.text  # two jobs of 75 s, of 200 s in all
    assert "5 min 0 s 2.1 GB" in outline.text  # cpu_time; the larger max_rss, in MiB; the other was not measured
    assert re.search(r"codebook not measured [\d.]+ k?B", outline.text)


def test_atlas_and_examples_have_pictures(outline, page):
    pictures = [attributes for tag, attributes in outline.tags if tag == "img"]
    # A strip and two middles of the word that has its video; three examples, and two captions; of the forecasts two clips
    # seen, one of two foretold, two that came, and two foretold and two shown of the sentence.
    assert len(pictures) == 3 + 3 + 2 + 5 + 4
    assert page.count("frames not on disk") == 3 + 1  # mute's video is not there
    assert "2 · 9 clips" in outline.text
    assert "test videos, taken evenly" in outline.text
    assert "verb: slice chop 70 % slice ✓ 20 % object: tomato tomato ✓ 60 % onion 30 %" in outline.text


def test_a_visual_word_has_what_is_said_with_it(outline):
    assert "2 · 9 clips slice, tomato frames not on disk" in outline.text
    assert "1 · 2 clips wait, and Zero-shot classification" in outline.text


def test_a_strip_shows_the_asked_moments(made_results):
    import base64
    import io

    from PIL import Image

    uri = strip(made_results / "frames" / "0000" / "good.mp4", [0.5, 2.5, 5.97], side=32)
    picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert picture.size == (96, 32)
    shades = [picture.getpixel((16 + 32 * place, 16))[0] for place in range(3)]
    assert shades == pytest.approx([0, 80, 200], abs=8)
    assert strip(made_results / "frames" / "0000" / "nowhere.mp4", [0.5]) is None
    assert strip(made_results / "pretrain" / "training.json", [0.5]) is None


def test_how_it_was_made(outline):
    assert "numpy 2.4.6" in outline.text
    assert "input: it 0123456789ab " in outline.text
    assert HASH[:13] not in outline.text


def test_the_same_bytes_twice(made_results, results, page, summary):
    again, theirs = write(results)
    assert again == page
    assert theirs == summary.replace(str(made_results), str(results))


def test_summary(made_results, summary):
    assert "listed 6 -> usable 5 -> downloaded 4" in summary
    assert re.search(r"download +1 lost: 1 gone", summary)
    assert (
        "zero-shot   top-1 verb/object 61.3 %/30.0 % (no video 7.1 %/30.0 %, another video 8.2 %/30.0 %, chance"
        in summary
    )
    assert "alignment   87.6 % (chance 50.0 %)" in summary
    assert "probe       top-1 verb/object 62.0 %/30.0 %" in summary
    assert "retrieval   R@1/R@5 44.0 %/44.0 % (second stage 22.0 %/22.0 %" in summary
    assert "captioning  CIDEr 0.40 (no video 0.10" in summary
    assert "forecasting top-1/top-5 64.0 %/64.0 % (last again 52.0 %/52.0 %" in summary
    assert "scaling     top-1 verb/object 29.0 %/30.0 % of 300 videos, 58.0 %/30.0 % of 1,200 videos" in summary
    assert "transcribe 2 min 30 s" in summary
    for path in ("report/index.html", "pretrain", "evaluate/metrics.json"):
        assert str(made_results / path) in summary
    assert len(summary.splitlines()) <= 28
    assert max(map(len, summary.splitlines())) <= 120 + len(str(made_results))


def test_without_annotations(results):
    path = results / "evaluate" / "metrics.json"
    skipped = {
        key: {"skipped": "evaluate.annotations is null"} for key in ("zero_shot", "probe", "captioning", "scaling")
    }
    metrics = json.loads(path.read_text(encoding="utf-8")) | skipped
    path.write_text(json.dumps(metrics), encoding="utf-8")
    # The tasks' files are still those of the run before: nothing of them may be shown.
    page, summary = write(results)
    text = Outline(page).text
    assert "Zero-shot verb, top-1 not measured evaluate.annotations is null" in text
    for title in (
        "Zero-shot classification, and controls",
        "What a linear probe finds",
        "Captions",
        "What more videos bring",
    ):
        assert f"{title} Not measured: evaluate.annotations is null." in text
    assert SENTENCE in text  # the examples are then sentences of the test videos
    assert "chop" not in text
    assert "wrote" not in text
    assert "% of cases whether a text belongs to a video, by chance in 50 %" in text
    assert "zero-shot   not measured: evaluate.annotations is null" in summary
    assert "scaling     not measured: evaluate.annotations is null" in summary


def test_a_collapsed_codebook_is_said(written, strange):
    assert "collapsed" not in written[0] and "warning" not in written[1]
    text, summary = strange
    said = "the codebook has collapsed: 1 of 144 visual words live, used as if there were 1.0."
    assert said in Outline(text).text and "144 visual words (1 live)" in summary
    assert said in " ".join(summary.split()) and re.search(
        "^warning     the codebook has collapsed", summary, re.MULTILINE
    )


def test_why_there_is_no_interval(written, short_of_videos):
    assert "an interval needs" not in written[0] and "intervals   " not in written[1]
    text, summary = short_of_videos
    assert f"Where there are too few videos no interval is shown: {WHY}." in Outline(text).text
    assert f"intervals   none where there are too few videos: {WHY}" in summary.splitlines()


def test_a_task_that_was_not_run_is_not_there(results):
    path = results / "evaluate" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: figures for name, figures in metrics.items() if name in ("masked", "alignment")}
    path.write_text(json.dumps({**kept, "protocol": {"objectives": {}}}), encoding="utf-8")
    # All tasks' files of the run before lie there.
    page, summary = write(results)
    outline = Outline(page)
    assert "Masked prediction and alignment" in outline.text
    for word in (
        "Zero-shot",
        "linear probe",
        "Retrieval",
        "Captions",
        "Forecast",
        "chop",
        "wrote",
        "captioning",
        "more videos",
    ):
        assert word not in outline.text, word
    assert "masked      words 51.0 %" in summary
    assert not re.search("zero-shot|probe|retrieval|captioning|forecasting|scaling", summary)
    test_every_link_has_its_goal(outline, results)


def test_details_of_another_run_are_not_shown(strange):
    text = Outline(strange[0]).text
    assert text.count("0.77") >= 2  # a card, and the table
    assert "wrote" not in text
    assert "the last clips seen" not in text


def test_with_nothing_but_a_manifest(results):
    for path in results.iterdir():
        if path.name != "corpus":
            shutil.rmtree(path)
    page, summary = write(results)
    text = Outline(page).text
    assert text.count("no ledger") == 6
    assert "not measured" in text
    assert "No training curve" in text
    assert "Nothing was measured" in text
    assert "nothing was measured" in summary


def test_without_losses(short_of_videos):
    assert "None: every video of the list came through every stage." in Outline(short_of_videos[0]).text


def test_a_long_list_of_losses_is_cut_and_says_where_the_rest_is(strange):
    text = Outline(strange[0]).text
    assert "1,307 gone" in text
    assert "and 1,007 more, in results/ledger/download.parquet" in text
    assert "v299 " in text
    assert "v300 " not in text


def test_numbers_are_readable():
    def plain(function, *values):
        return [function(value).replace("\u00a0", " ") for value in values]

    assert plain(duration, None, 0.26, 9.99, 59.4, 59.7, 3725) == [
        "–",
        "0.3 s",
        "10 s",
        "59 s",
        "1 min 0 s",
        "1 h 2 min",
    ]
    assert plain(duration, 3599.7, 23_186 * 3600) == ["1 h 0 min", "23,186 h"]
    assert plain(size, None, 0, 999, 1500, 2.5e8, 3.2e12) == ["–", "0 B", "999 B", "1.5 kB", "250 MB", "3.2 TB"]
    assert plain(clock, 0, 62.46, 3599.99) == ["0:00.0", "1:02.5", "60:00.0"]
    assert plain(number, 1234567, None) == ["1,234,567", "not measured"]
    assert plain(percent, 0.1234, 0, None) == ["12.3 %", "0.0 %", "–"]


def test_figures_of_another_model_are_refused(results):
    file = results / "evaluate" / "objectives.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["provenance"] = {"inputs": {"model": "0" * 64}}
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"objectives\.json was measured on another model: run snakemake .* objectives"):
        write(results)


# --- no nonsense with a proud face ---


def changed(results: Path, file: str, **changes: object) -> None:
    """Keys of a JSON file of the run, with other values."""
    content = json.loads((results / file).read_text(encoding="utf-8"))
    (results / file).write_text(json.dumps(content | changes), encoding="utf-8")


def test_whether_the_video_is_used_is_answered_in_a_sentence(outline, strange, results):
    """Where nothing is annotated the answer goes by the alignment: test_without_annotations."""
    assert (
        "Yes: the model names the verb of a step in 61.3 % of cases with its video, without a video in 7.1 %"
        in outline.text
    )
    page, summary = strange
    assert "Perhaps, the difference is within the intervals" in Outline(page).text and "use of video" in summary
    zero_shot = json.loads((results / "evaluate" / "metrics.json").read_text(encoding="utf-8"))["zero_shot"]
    changed(results, "evaluate/metrics.json", zero_shot=zero_shot | {"language_prior": zero_shot["cross_modal"]})
    page, summary = write(results)
    assert "No: the model names the verb" in Outline(page).text and "use of video" in summary


def test_a_figure_that_loses_to_its_control_does_not_look_like_the_others(strange):
    beaten = re.findall(r'<div class="card beaten"><h3>(.*?)</h3>.*?<p>(.*?)</p>', strange[0], re.DOTALL)
    assert [(name, text.split(":")[0]) for name, text in beaten] == [
        ("Forecast of the next clip, top-1", "No better than a control")
    ]


def test_few_test_videos_have_no_figure_in_large_letters(short_of_videos):
    page, summary = short_of_videos
    text = Outline(page).text
    assert "Alignment of text and video too few test videos (1) to say" in text
    assert text.count("too few test videos (1) to say") == 6 and '<div class="figure">' not in page
    assert "use of video  too few test videos (1) to say whether" in summary


def test_the_kitchens_s3d_on_real_videos_is_a_banner(outline, strange):
    assert "Not a result." not in outline.text
    page, summary = strange
    assert "Not a result. features.weights is kitchen" in Outline(page).text
    assert page.index("Not a result.") < page.index("Does it use the video?")
    assert "2 of 9 videos are not of the built-in corpus" in Outline(page).text
    assert "warning     features.weights is kitchen" in summary


def test_without_annotations_guesses_can_be_looked_at(results):
    guess = {"video_id": "test", "start": 0.5, "end": 4.0}
    guess |= {"cross_modal": {"verb": [["chop", 0.7]], "object": [["onion", 0.3]]}}
    changed(
        results, "evaluate/zero_shot.json", summary={"zero_shot": {"skipped": "none"}}, predictions=[], guesses=[guess]
    )
    changed(results, "evaluate/metrics.json", zero_shot={"skipped": "none"})
    text = Outline(write(results)[0]).text
    assert "Nothing is annotated, so nobody knows whether they are right." in text
    assert "verb chop 70 % object onion 30 %" in text
