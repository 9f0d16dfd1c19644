"""The model: saved and loaded to the same bits, heads tied to the tables, losses as a naive computation gives them."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from videobert.model.configuration_videobert import VideoBertConfig
from videobert.model.modeling_videobert import VideoBertForPreTraining, VideoBertModel

WORDS, VISUAL, CLS, SEP, MASK, ARROW = 50, 20, 2, 3, 4, 5


def small(**settings) -> VideoBertForPreTraining:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = VideoBertConfig(vocab_size=WORDS, visual_words=VISUAL, max_position_embeddings=24, **sizes | settings)
    return VideoBertForPreTraining(config).eval()


def batch() -> dict[str, torch.Tensor]:
    """A pair, a text alone, a video alone, a pair of another video; two masks in each but the last."""
    rows = [
        ([CLS, 10, MASK, ARROW, 52, MASK, SEP], [0, 0, 0, 0, 1, 1, 1], {2: 11, 5: 53}),
        ([CLS, MASK, 11, 12, MASK, SEP], [0] * 6, {1: 10, 4: 49}),
        ([CLS, ARROW, MASK, 69, MASK, SEP], [0, 0, 1, 1, 1, 1], {2: 50, 4: 69}),
        ([CLS, 10, ARROW, 61, SEP], [0, 0, 0, 1, 1], {}),
    ]
    ids, types, mask = (torch.zeros(4, 7, dtype=torch.long) for _ in range(3))
    labels = torch.full((4, 7), -100)
    for row, (tokens, kinds, targets) in enumerate(rows):
        ids[row, : len(tokens)], types[row, : len(tokens)] = torch.tensor(tokens), torch.tensor(kinds)
        mask[row, : len(tokens)] = 1
        for place, label in targets.items():
            labels[row, place] = label
    alignment = torch.tensor([1, -100, -100, 0])
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "labels": labels, "alignment": alignment}


def test_a_saved_model_gives_the_same_bits(tmp_path):
    model, inputs = small(text_weight=0.5), batch()
    model.save_pretrained(tmp_path)
    before = model(**inputs)
    for loaded in (
        VideoBertForPreTraining.from_pretrained(tmp_path),
        AutoModelForPreTraining.from_pretrained(tmp_path),
    ):
        after = loaded.eval()(**inputs)
        assert set(before) == set(after)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert loaded.text_decoder.weight is loaded.videobert.embeddings.text.weight
        assert loaded.video_decoder.weight is loaded.videobert.embeddings.video.weight
    assert AutoConfig.from_pretrained(tmp_path).text_weight == 0.5
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(encoder, VideoBertModel)
    del inputs["labels"], inputs["alignment"]
    assert torch.equal(encoder(**inputs).last_hidden_state, before.last_hidden_state)


@pytest.mark.slow
def test_the_package_offers_the_model_without_importing_torch_first():
    code = "import sys, videobert; assert 'torch' not in sys.modules; print(videobert.VideoBertForPreTraining.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "VideoBertForPreTraining", done.stderr


def test_decoders_follow_the_tables():
    model, inputs = small(), batch()
    before = model(**inputs)
    with torch.no_grad():
        model.videobert.embeddings.video.weight[7] += 1.0  # not a word of the batch: only the decoder sees it
    after = model(**inputs)
    assert torch.equal(before.last_hidden_state, after.last_hidden_state)
    assert torch.equal(before.text_logits, after.text_logits)
    changed = (before.video_logits != after.video_logits).any(0)
    assert changed.nonzero().flatten().tolist() == [7]


def test_losses_are_those_of_a_naive_computation():
    weights = {"text_weight": 0.5, "video_weight": 2.0, "text_video_weight": 3.0, "alignment_weight": 0.25}
    model, inputs = small(**weights), batch()
    output = model(**inputs)
    hidden = output.last_hidden_state
    text = F.linear(model.text_transform(hidden), model.videobert.embeddings.text.weight, model.text_bias)
    video = F.linear(model.video_transform(hidden), model.videobert.embeddings.video.weight, model.video_bias)

    def negative(logits, row, place, label):
        return -logits[row, place].log_softmax(-1)[label]

    expected = {
        "text_loss": (negative(text, 1, 1, 10) + negative(text, 1, 4, 49)) / 2,
        "video_loss": (negative(video, 2, 2, 0) + negative(video, 2, 4, 19)) / 2,
        "text_video_loss": (negative(text, 0, 2, 11) + negative(video, 0, 5, 3)) / 2,
        "alignment_loss": -(F.logsigmoid(output.alignment_logits[0]) + F.logsigmoid(-output.alignment_logits[3])) / 2,
    }
    for name, value in expected.items():
        torch.testing.assert_close(output[name], value)
    # Two masked tokens in each objective, six in all.
    total = sum(weights[f"{name}_weight"] * expected[f"{name}_loss"] / 3 for name in ("text", "video", "text_video"))
    torch.testing.assert_close(output.loss, total + weights["alignment_weight"] * expected["alignment_loss"])


@pytest.mark.parametrize("shares", [([0, 1], [2, 3]), ([0, 3], [1, 2]), ([1, 2], [0, 3])])
def test_the_mean_over_shares_of_a_batch_is_the_loss_of_the_whole(shares):
    """Also of each part, and of the gradients; one share has what another lacks, or more of it."""
    model, inputs = small(text_weight=0.5, video_weight=2.0, alignment_weight=0.25), batch()
    inputs["labels"][1, 4] = -100
    whole = model(**inputs)
    whole.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    pieces = [{name: tensor[rows] for name, tensor in inputs.items()} for rows in shares]
    targets = sum(model.count_targets(**piece) for piece in pieces) / len(shares)
    outputs = [model(**piece, targets=targets) for piece in pieces]
    for name in ("loss", "text_loss", "video_loss", "text_video_loss", "alignment_loss"):
        torch.testing.assert_close(sum(output[name] for output in outputs) / len(shares), whole[name])
    (sum(output.loss for output in outputs) / len(shares)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])


def test_token_types_are_read_from_the_ids():
    model, inputs = small(), batch()
    row = inputs["input_ids"][3:, :5]
    given = model(row, token_type_ids=inputs["token_type_ids"][3:, :5]).last_hidden_state
    assert torch.equal(model(row).last_hidden_state, given)


def test_padding_changes_nothing():
    model, inputs = small(), batch()
    together = model(**inputs).last_hidden_state
    for row in range(4):
        length = int(inputs["attention_mask"][row].sum())
        alone = model(
            inputs["input_ids"][row : row + 1, :length], token_type_ids=inputs["token_type_ids"][row : row + 1, :length]
        )
        torch.testing.assert_close(alone.last_hidden_state[0], together[row, :length], rtol=1e-5, atol=1e-5)


def test_the_modalities_see_each_other():
    model, inputs = small(), batch()
    before = model(**inputs).last_hidden_state
    inputs["input_ids"][0, 4] = 53
    assert not torch.allclose(before[0, 2], model(**inputs).last_hidden_state[0, 2])


@pytest.mark.parametrize("kept", [[0], [1], [2], [3]])
def test_every_parameter_gets_a_gradient_from_any_batch(kept):
    """Distributed training waits for each of them."""
    model = small().train()
    model(**{name: tensor[kept] for name, tensor in batch().items()}).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("dimension", [16, 32, 48])
def test_visual_embeddings_start_from_the_centroids(dimension):
    model = small()
    centroids = torch.randn(VISUAL, dimension, generator=torch.Generator().manual_seed(1))
    centroids[1] = centroids[0] + 0.01
    model.start_from_centroids(centroids + 5.0, seed=0)
    table = model.videobert.embeddings.video.weight.detach()
    assert abs(table.std().item() / model.config.initializer_range - 1) < 0.05
    distances = torch.cdist(table, table)
    assert distances[0].argsort()[1] == 1
    if dimension <= 32:  # a rotation: all distances are kept, up to one scale
        ratio = distances[distances > 0] / torch.cdist(centroids, centroids)[distances > 0]
        torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-3, atol=1e-4)


def test_gradients_are_those_of_the_padded_computation():
    """Without padding: the same loss, and the same step for every weight, as BERT's own padded encoder gives."""
    from transformers.masking_utils import create_bidirectional_mask
    from transformers.models.bert.modeling_bert import BertEncoder

    model, inputs = small(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train(), batch()
    model(**inputs).loss.backward()
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    loss = model(**inputs).loss

    class Padded(VideoBertModel):
        def forward(self, input_ids, attention_mask, token_type_ids, *others, return_dict):
            positions = torch.arange(input_ids.shape[1]).expand_as(input_ids)
            hidden = self.embeddings(input_ids, token_type_ids, positions)
            self.config._attn_implementation_internal = "sdpa"
            mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=attention_mask)
            return BertEncoder.forward(self.encoder, hidden, attention_mask=mask)

    model.videobert.__class__ = Padded
    model.zero_grad()
    padded = model(**inputs).loss
    padded.backward()
    torch.testing.assert_close(loss, padded, atol=1e-5, rtol=0)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_attention_with_dropout_is_attention_when_nothing_is_dropped(monkeypatch):
    from videobert.model import modeling_videobert as module

    layout = module.Layout(torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]))
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 7, 8) for _ in range(3))
    plain, _ = module.attention(None, query, key, value, None, 0.0, 8**-0.5, layout=layout)
    monkeypatch.setattr(module, "drop", lambda numbers, probability: numbers)
    ours, _ = module.attention(None, query, key, value, None, 0.5, 8**-0.5, layout=layout)
    torch.testing.assert_close(plain, ours)
    unscaled, _ = module.attention(None, query, key, value, None, 0.5, layout=layout)  # by the head's size
    torch.testing.assert_close(plain, unscaled)
    # The three tokens of the first sequence know nothing of the second.
    value = value.clone()
    value[:, :, 3:] += 1
    other, _ = module.attention(None, query, key, value, None, 0.5, 8**-0.5, layout=layout)
    torch.testing.assert_close(ours[:, :3], other[:, :3])
    assert not torch.allclose(ours[:, 3:], other[:, 3:])


def test_dropout_by_bytes_is_dropout():
    from videobert.model.modeling_videobert import Dropout

    torch.manual_seed(0)
    numbers = torch.ones(1000, 999, requires_grad=True)
    layer = Dropout(0.1)
    dropped = layer(numbers)
    share = (dropped == 0).float().mean().item()
    assert abs(share - 26 / 256) < 0.001
    assert dropped.max().item() == pytest.approx(256 / 230) and abs(dropped.mean().item() - 1) < 0.001
    dropped.sum().backward()
    assert torch.equal(numbers.grad, dropped.detach())
    assert torch.equal(layer.eval()(numbers), numbers) and torch.equal(Dropout(0.0)(numbers), numbers)
    assert Dropout(1.0)(numbers).sum() == 0
    columns = (dropped == 0).float().mean(0)
    assert columns.std().item() == pytest.approx((0.1016 * 0.8984 / 1000) ** 0.5, rel=0.1)  # independent


# What transformers' common tests ask of every model (its tests/test_modeling_common.py, which no wheel holds).


def both_models():
    """The model with its heads, and the encoder alone, with inputs that they take."""
    inputs = batch()
    plain = {name: inputs[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    return [(small(), inputs), (small().videobert, plain)]


@pytest.mark.parametrize("place", [0, 1])
def test_saved_and_loaded_with_a_resized_vocabulary(tmp_path, place):
    for size in (WORDS + 7, WORDS - 5):
        model, inputs = both_models()[place]
        before = model.get_input_embeddings().weight[: WORDS - 5].detach().clone()
        table = model.resize_token_embeddings(size)
        assert table.num_embeddings == size == model.config.vocab_size and table is model.get_input_embeddings()
        assert torch.equal(table.weight[: WORDS - 5], before)
        visual = inputs["input_ids"] >= WORDS
        inputs["input_ids"] = inputs["input_ids"] + (size - WORDS) * visual
        if "labels" in inputs:
            inputs["labels"] = inputs["labels"] + (size - WORDS) * (inputs["labels"] >= WORDS)
            inputs["labels"][1, 4] = 12  # 49 may be gone
        output = model(**inputs)
        model.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path).eval()
        after = loaded(**inputs)
        assert all(torch.equal(output[name], after[name]) for name in output)
        if "labels" in inputs:
            assert output.text_logits.shape[1] == size == len(model.text_bias)
            assert loaded.text_decoder.weight is loaded.videobert.embeddings.text.weight
            model.train()(**inputs).loss.backward()
            assert model.text_bias.grad is not None


def test_resizing_changes_nothing_for_the_words_that_stay():
    model, inputs = small(), batch()
    torch.nn.init.normal_(model.text_bias)
    before = model(**inputs)
    model.resize_token_embeddings(WORDS + 14, pad_to_multiple_of=32)
    assert model.config.vocab_size == 64
    for name in ("input_ids", "labels"):
        inputs[name] = inputs[name] + 14 * (inputs[name] >= WORDS)
    after = model(**inputs)
    torch.testing.assert_close(after.last_hidden_state, before.last_hidden_state)
    torch.testing.assert_close(after.text_logits[:, :WORDS], before.text_logits)
    torch.testing.assert_close(after.video_logits, before.video_logits)
    assert not model.text_bias[WORDS:].any()


def test_tied_weights_stay_tied_and_are_saved_once(tmp_path):
    from safetensors import safe_open

    model = small()
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        saved = set(file.keys())
    assert "videobert.embeddings.text.weight" in saved
    assert not {"text_decoder.weight", "video_decoder.weight"} & saved
    info = VideoBertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)[1]
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    model.resize_token_embeddings(WORDS + 3)
    assert model.text_decoder.weight is model.get_input_embeddings().weight
    assert model.get_output_embeddings() is model.text_decoder


@pytest.mark.parametrize("place", [0, 1])
def test_vectors_may_stand_for_ids(place):
    model, inputs = both_models()[place]
    ids = inputs.pop("input_ids")
    vectors = (model.videobert if place == 0 else model).embeddings.look_up(ids)
    by_ids, by_vectors = model(input_ids=ids, **inputs), model(inputs_embeds=vectors, **inputs)
    assert all(torch.equal(by_ids[name], by_vectors[name]) for name in by_ids)
    # A text alone: as the table of words has them, and without token types.
    text = ids[1:2, :6]
    plain = model(inputs_embeds=model.get_input_embeddings()(text)).last_hidden_state
    assert torch.equal(plain, model(text).last_hidden_state)
    for wrong in ({}, {"input_ids": ids, "inputs_embeds": vectors}):
        with pytest.raises(ValueError, match="reads either input_ids or inputs_embeds: give one of them"):
            model(**wrong)


@pytest.mark.parametrize("place", [0, 1])
def test_hidden_states_of_every_layer(place):
    model, inputs = both_models()[place]
    output = model(**inputs, output_hidden_states=True)
    assert len(output.hidden_states) == model.config.num_hidden_layers + 1
    assert all(state.shape == (4, 7, 32) for state in output.hidden_states)
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert not torch.equal(output.hidden_states[0], output.hidden_states[1])
    assert torch.equal(output.last_hidden_state, model(**inputs).last_hidden_state)
    assert "hidden_states" not in model(**inputs)
    model.config.output_hidden_states = True
    assert len(model(**inputs).hidden_states) == 3
    with pytest.raises(ValueError, match="keeps no weights to give: leave out output_attentions"):
        model(**inputs, output_attentions=True)


@pytest.mark.parametrize("place", [0, 1])
def test_a_tuple_instead_of_names(place):
    model, inputs = both_models()[place]
    named = model(**inputs, output_hidden_states=True)
    found = model(**inputs, output_hidden_states=True, return_dict=False)
    assert isinstance(found, tuple) and len(found) == len(named)
    model.config.return_dict = False
    again = model(**inputs, output_hidden_states=True)
    for one, two, three in zip(named.to_tuple(), found, again, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, two) and torch.equal(one, three)
    assert model(**inputs, return_dict=True).last_hidden_state is not None


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients(reentrant):
    def gradients(model):
        torch.manual_seed(1)  # of the dropout
        model.train()(**batch()).loss.backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    plain, model = gradients(small()), small()
    calls = []
    layer = model.videobert.encoder.layer[0]
    layer.attention.register_forward_hook(lambda *given: calls.append(given))
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    assert model.is_gradient_checkpointing
    checkpointed = gradients(model)
    assert len(calls) == 2  # once again on the way back
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=name)
    model.gradient_checkpointing_disable()
    model.zero_grad()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, plain[name], msg=name)
