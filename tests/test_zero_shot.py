"""Zero-shot: a model that has learnt uses the video, controls are controls, scores are those of a naive computation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import zero_shot
from synthetic import world

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.evaluation.ranking import rank_labels
from videobert.evaluation.scoring import interval
from videobert.evaluation.steps import select_between
from videobert.kitchen import script as kitchen
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import Video

TEMPLATE = "now let me show you how to [MASK] the [MASK]"
QUESTIONS = {"annotations": "kitchen", "templates": [TEMPLATE], "text_model": None, "batch_size": 32, "seed": 0}
QUESTIONS |= {"regularisation": [0.01, 0.1], "folds": 3, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def learnt(learnt) -> dict[str, Path]:
    return {**learnt, "features": learnt["tokens"].parent / "features"}


@pytest.fixture(scope="module")
def measured(learnt, shared) -> Path:
    make = lambda folder: zero_shot(**learnt, output=folder / "zero_shot.json", **QUESTIONS)  # noqa: E731
    return shared("zero_shot", make) / "zero_shot.json"


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["zero_shot"]


def test_the_video_is_used(measured):
    rows = figures(measured)
    assert rows["cross_modal"]["verb_top1"] > 0.6
    for control in ("shuffled_video", "language_prior", "chance"):
        assert rows["cross_modal"]["verb_top1"] > 3 * rows[control]["verb_top1"]
        assert rows["cross_modal"]["verb_top5"] > rows[control]["verb_top5"] + 0.3
    assert rows["cross_modal_seen"]["count"] + rows["cross_modal_held_out"]["count"] == 95
    assert rows["cross_modal_held_out"]["verb_top1"] > 0.4


def test_chance_is_that_of_the_labels(measured):
    details = json.loads(measured.read_text(encoding="utf-8"))
    verbs, objects = details["labels"]["verb"], details["labels"]["object"]
    assert verbs == sorted(kitchen.VERBS)
    chance = figures(measured)["chance"]
    assert chance["verb_top1"] == pytest.approx(1 / len(verbs), abs=1e-6)
    assert chance["object_top5"] == pytest.approx(5 / len(objects), abs=1e-6)


def test_the_keys_of_the_figures(measured):
    rows = {"chance", "language_prior", "shuffled_video", "cross_modal"}
    rows |= {"cross_modal_seen", "cross_modal_held_out"}
    rows |= {"s3d_supervised", "s3d_supervised_seen", "s3d_supervised_held_out"}
    assert set(figures(measured)) == rows
    for row in rows:
        assert set(figures(measured)[row]) >= {"verb_top1", "verb_top5", "object_top1", "object_top5"}
    prediction = json.loads(measured.read_text(encoding="utf-8"))["predictions"][0]
    assert set(prediction) >= {"video_id", "start", "end", "verb", "object", "seen", "cross_modal", "language_prior"}
    verbs, probabilities = zip(*prediction["cross_modal"]["verb"], strict=True)
    assert len(verbs) == 5 and set(verbs) <= set(kitchen.VERBS)
    assert list(probabilities) == sorted(probabilities, reverse=True) and 0 < sum(probabilities) <= 1


def test_accuracies_follow_from_the_predictions(measured):
    details = json.loads(measured.read_text(encoding="utf-8"))
    train = {
        (step.verb, step.object)
        for number in range(60)
        if not kitchen.is_test(number)
        for step in kitchen.script(number).steps
    }
    for name in ("cross_modal", "language_prior", "shuffled_video"):
        for part in ("verb", "object"):
            first = [step[name][part][0][0] == step[part] for step in details["predictions"]]
            top = [step[part] in dict(step[name][part]) for step in details["predictions"]]
            assert figures(measured)[name][f"{part}_top1"] == pytest.approx(np.mean(first), abs=1e-6)
            assert figures(measured)[name][f"{part}_top5"] == pytest.approx(np.mean(top), abs=1e-6)
    seen = np.array([step["seen"] for step in details["predictions"]])
    for row in ("cross_modal", "s3d_supervised"):
        right = np.array([step[row]["object"][0][0] == step["object"] for step in details["predictions"]])
        for part, chosen in (("seen", seen), ("held_out", ~seen)):
            figure = figures(measured)[f"{row}_{part}"]["object_top1"]
            assert figure == pytest.approx(right[chosen].mean(), abs=1e-6)
    assert all(step["seen"] == ((step["verb"], step["object"]) in train) for step in details["predictions"])
    # Without a video every question is the same, so every answer is.
    assert len({tuple(dict(step["language_prior"]["verb"])) for step in details["predictions"]}) == 1


def test_an_interval_holds_the_figure_and_is_wider_for_fewer_videos(measured):
    row = figures(measured)["cross_modal"]
    low, high = row["verb_top1_interval"]
    assert low < row["verb_top1"] < high
    right = np.tile([1.0, 0.0], 500)
    by_step = interval(right, np.arange(1000), 0)
    by_video = interval(np.repeat([1.0, 0.0], 500), np.repeat(np.arange(10), 100), 0)
    assert by_step[0] == pytest.approx(0.5 - 1.96 * (0.25 / 1000) ** 0.5, abs=0.01)
    # All steps of a video alike: ten draws, not a thousand.
    assert by_video[0] == pytest.approx(0.5 - 1.96 * (0.25 / 10) ** 0.5, abs=0.1)


def test_the_same_bytes_twice(measured, learnt, tmp_path):
    zero_shot(**learnt, output=tmp_path / "zero_shot.json", **QUESTIONS)
    assert (tmp_path / "zero_shot.json").read_bytes() == measured.read_bytes()
    assert str(learnt["pretrain"]) not in measured.read_text(encoding="utf-8")


def test_a_list_of_annotations_gives_the_kitchens_figures(measured, learnt, tmp_path):
    lines = ["video_id\tstart\tend\tverb\tobject"]
    for row in read_table(learnt["manifest"]).to_pylist():
        steps = kitchen.script(int(row["source"].split(":")[1])).steps
        lines += [f"{row['video_id']}\t{step.start}\t{step.end}\t{step.verb}\t{step.object}" for step in steps]
    (tmp_path / "steps.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    questions = {**QUESTIONS, "annotations": str(tmp_path / "steps.tsv")}
    zero_shot(**learnt, output=tmp_path / "zero_shot.json", **questions)
    listed = json.loads((tmp_path / "zero_shot.json").read_text(encoding="utf-8"))
    assert listed["summary"] == json.loads(measured.read_text(encoding="utf-8"))["summary"]
    assert "annotations" in listed["provenance"]["inputs"] and str(tmp_path) not in (
        tmp_path / "zero_shot.json"
    ).read_text(encoding="utf-8")
    (tmp_path / "steps.tsv").write_text("video_id\tstart\tend\tverb\nx\t0\t1\tcut\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column named object"):
        zero_shot(**learnt, output=tmp_path / "zero_shot.json", **questions)
    (tmp_path / "steps.tsv").write_text(
        "video_id\tstart\tend\tverb\tobject\nelsewhere\t0\t1\tcut\tbread\n", encoding="utf-8"
    )
    with pytest.raises(UserError, match="no step of a test video"):
        zero_shot(**learnt, output=tmp_path / "zero_shot.json", **questions)
    fields = [line.split("\t") for line in lines]
    for change, message in ((lambda row: [row[0], row[2], row[1], *row[3:]], "look swapped"), (in_frames, "of frames")):
        rows = [fields[0], *map(change, fields[1:])]
        (tmp_path / "steps.tsv").write_text("\n".join(map("\t".join, rows)) + "\n", encoding="utf-8")
        with pytest.raises(UserError, match=message):
            zero_shot(**learnt, output=tmp_path / "zero_shot.json", **questions)


def test_annotations_take_the_source_and_what_lies_nowhere_is_counted(measured, learnt, tmp_path, capfd):
    lines = ["video_id\tstart\tend\tverb\tobject"]
    for row in read_table(learnt["manifest"]).to_pylist():
        steps = kitchen.script(int(row["source"].split(":")[1])).steps
        lines += [f"{row['source']}\t{step.start}\t{step.end}\t{step.verb}\t{step.object}" for step in steps]
    test = next(row for row in read_table(learnt["manifest"]).to_pylist() if row["split"] == "test")
    known = lines[-1].split("\t", 3)[3]
    lines += [f"{test['source']}\t9000\t9001\t{known}", f"elsewhere\t0\t1\t{known}"]
    (tmp_path / "steps.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    zero_shot(**learnt, output=tmp_path / "zero_shot.json", **{**QUESTIONS, "annotations": str(tmp_path / "steps.tsv")})
    here, before = (json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "zero_shot.json", measured))
    assert here["summary"] == before["summary"] and here["left_out"] == before["left_out"] + 1
    said = capfd.readouterr().err
    assert f"1 of {len(lines) - 1} steps name no video of the list, or several, by 1 ids: elsewhere (1)" in said
    assert f"1 of {len(lines) - 1} steps lie nowhere in their video (1 begin after it ends" in said


def in_frames(row: list[str]) -> list[str]:
    return [row[0], *(f"{25 * float(time):.0f}" for time in row[1:3]), *row[3:]]


def test_no_annotations_leave_it_out_with_a_reason(learnt, tmp_path):
    zero_shot(**learnt, output=tmp_path / "zero_shot.json", **{**QUESTIONS, "annotations": None})
    assert "annotations is null" in figures(tmp_path / "zero_shot.json")["skipped"]


def test_labels_of_several_pieces_are_ranked_by_the_mean_of_their_masks(learnt):
    predictor = Predictor(learnt["pretrain"], 32, "cpu")
    labels = {"verb": ["chop", "slice", "peelgrate"], "object": ["tomato", "saltpepper", "egg"]}
    assert len(predictor.pieces("peelgrate")) > 1 and len(predictor.pieces("saltpepper")) > 1
    video = np.array([3, 4]) + predictor.vocabulary.vocab_size
    ranked = rank_labels(predictor, TEMPLATE, labels, [Video(np.array([3, 4]))])
    before, the, mask = (
        predictor.pieces("now let me show you how to"),
        predictor.pieces("the"),
        predictor.vocabulary.mask,
    )
    for part, slot in (("verb", 0), ("object", 1)):
        scores = {}
        for label in labels[part]:
            pieces = predictor.pieces(label)
            masks = [mask] * len(pieces)
            text = [*before, *(masks if slot == 0 else [mask]), *the, *(masks if slot == 1 else [mask])]
            ids = torch.tensor(
                [[predictor.vocabulary.cls, *text, predictor.vocabulary.video, *video, predictor.vocabulary.sep]]
            )
            types = torch.tensor([[0] * (len(text) + 2) + [1] * 3])
            with torch.inference_mode():
                hidden = predictor.model(ids, token_type_ids=types).last_hidden_state[0]
                first = 1 + len(before) + (0 if slot == 0 else 1 + len(the))
                logits = predictor.model.text_logits(hidden[first : first + len(pieces)]).log_softmax(-1)
            scores[label] = logits[range(len(pieces)), pieces].mean().item()
        assert [label for label, _ in ranked[part][0]] == sorted(scores, key=scores.get, reverse=True)
        assert sum(probability for _, probability in ranked[part][0]) == pytest.approx(1)


def test_a_step_has_the_clips_whose_middle_lies_in_it():
    middles, words = np.arange(6) * 1.5 + 0.75, np.arange(6) + 10
    assert select_between(middles, words, 1.5, 4.5).tolist() == [11, 12]
    assert select_between(middles, words, 2.25, 3.75).tolist() == [11]
    assert select_between(middles, words, 2.4, 2.6).tolist() == [11]  # none inside: the nearest
    assert select_between(middles, words, 20.0, 21.0).tolist() == [15]


def test_what_cannot_be_measured_is_said(learnt, tmp_path):
    import pyarrow as pa

    with pytest.raises(UserError, match="twice"):
        zero_shot(**learnt, output=tmp_path / "zero_shot.json", **{**QUESTIONS, "templates": ["to [MASK] the onion"]})
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        zero_shot(**{**learnt, "pretrain": tmp_path}, output=tmp_path / "zero_shot.json", **QUESTIONS)
    tokens = tmp_path / "tokens"
    for file in sorted(learnt["tokens"].glob("*.parquet")):
        table = read_table(file)
        split = pa.array(["train"] * len(table))
        trained = table.set_column(table.schema.get_field_index("split"), "split", split)
        write_table(trained, tokens / file.name, read_provenance(file))
    with pytest.raises(UserError, match="split test"):
        zero_shot(**{**learnt, "tokens": tokens}, output=tmp_path / "zero_shot.json", **QUESTIONS)
    other = world(tmp_path / "other", videos=5, words=50)
    with pytest.raises(UserError, match="codebook"):
        zero_shot(
            **{**learnt, "tokens": other["tokens"], "manifest": other["manifest"]},
            output=tmp_path / "zero_shot.json",
            **QUESTIONS,
        )


def test_the_supervised_row_is_the_probes(measured, learnt, tmp_path):
    from calls import probe

    questions = {name: value for name, value in QUESTIONS.items() if name not in ("templates", "text_model")}
    probe(**learnt, output=tmp_path / "probe.json", **questions)
    probed = json.loads((tmp_path / "probe.json").read_text(encoding="utf-8"))["summary"]["probe"]["s3d"]
    assert figures(measured)["s3d_supervised"] == probed


def test_several_templates_give_mean_and_spread_beside_the_firsts_figures(measured, learnt, tmp_path):
    others = ["now we [MASK] the [MASK]", "[MASK] it and [MASK]"]
    zero_shot(**learnt, output=tmp_path / "all.json", **{**QUESTIONS, "templates": [TEMPLATE, *others]})
    alone = [figures(measured)]
    for template in others:
        zero_shot(**learnt, output=tmp_path / "one.json", **{**QUESTIONS, "templates": [template]})
        alone.append(figures(tmp_path / "one.json"))
    together = figures(tmp_path / "all.json")
    for name in ("cross_modal", "language_prior"):
        templates = together[name].pop("templates")
        assert templates["count"] == 3
        for figure in ("verb_top1", "verb_top5", "object_top1", "object_top5"):
            values = [row[name][figure] for row in alone]
            assert templates["mean"][figure] == pytest.approx(np.mean(values), abs=2e-6)
            assert templates["spread"][figure] == pytest.approx(np.std(values, ddof=1), abs=2e-6)
        measures = ("verb_top1", "verb_top5", "object_top1", "object_top5")
        assert len({tuple(row[name][figure] for figure in measures) for row in alone}) > 1  # or they asked the same
    assert together == alone[0]
    details = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert [row["template"] for row in details["templates"]] == [TEMPLATE, *others]
    assert details["predictions"] == json.loads(measured.read_text(encoding="utf-8"))["predictions"]


@pytest.fixture
def bert(tmp_path) -> Path:
    """A BERT that has its own word pieces and says the verb "whisk" and the object "egg", whatever it is asked."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    pieces = {piece for label in [*kitchen.VERBS, *kitchen.OBJECTS] for word in label.split() for piece in word}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "whisk", "egg", *sorted(pieces)]
    words += [f"##{piece}" for piece in sorted(pieces)]
    folder = tmp_path / "some-bert"
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=len(words), max_position_embeddings=40, **sizes))
    with torch.no_grad():
        model.cls.predictions.bias[words.index("whisk")] = 9.0
        model.cls.predictions.bias[words.index("egg")] = 9.0
    model.save_pretrained(folder)
    return folder


def test_a_bert_without_video_is_a_row(measured, learnt, bert, tmp_path):
    zero_shot(**learnt, output=tmp_path / "zero_shot.json", **{**QUESTIONS, "text_model": str(bert)})
    rows = figures(tmp_path / "zero_shot.json")
    steps = json.loads(measured.read_text(encoding="utf-8"))["predictions"]
    assert "whisk" in kitchen.VERBS and "egg" in kitchen.OBJECTS
    assert rows["bert"]["verb_top1"] == pytest.approx(np.mean([step["verb"] == "whisk" for step in steps]), abs=1e-6)
    assert rows["bert"]["object_top1"] == pytest.approx(np.mean([step["object"] == "egg" for step in steps]), abs=1e-6)
    assert {name: row for name, row in rows.items() if name != "bert"} == figures(measured)
    settings = read_provenance(tmp_path / "zero_shot.json")["settings"]
    assert settings["text_model"] == "some-bert" and len(settings["text_model_sha256"]) == 64
    assert str(tmp_path) not in (tmp_path / "zero_shot.json").read_text(encoding="utf-8")


def test_a_text_model_that_cannot_answer_is_refused(learnt, bert, tmp_path):
    from transformers import BertModel

    BertModel.from_pretrained(bert).save_pretrained(bert)
    output = tmp_path / "zero_shot.json"
    with pytest.raises(UserError, match=r"zero_shot\.text_model: .*some-bert has no head for masked words"):
        zero_shot(**learnt, output=output, **{**QUESTIONS, "text_model": str(bert)})
    with pytest.raises(UserError, match=r"zero_shot\.text_model: .*null leaves the row out"):
        zero_shot(**learnt, output=output, **{**QUESTIONS, "text_model": str(tmp_path / "nowhere")})
