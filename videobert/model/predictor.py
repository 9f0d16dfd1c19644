"""The frozen model with its tokenizer, ready to answer batches of sequences."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.data.provenance import read_provenance, sha256
from videobert.data.text import one_line
from videobert.devices import resolve_device
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.processing_videobert import (
    MASKED,
    NO_TEXT,
    NO_VIDEO,
    Ids,
    Input,
    Video,
    lay_out,
    pad_inputs,
    shorten,
)
from videobert.model.quiet import quiet
from videobert.model.sequences import read_tokenizer, read_vocabulary
from videobert.model.visual_answers import VisualAnswer

if TYPE_CHECKING:
    import torch

    from videobert.model.modeling_videobert import VideoBertForPreTraining


COPY_ANEW = "copy the folder anew from where the model was made"
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


class Predictor:
    """The model with its tokenizer, ready to answer batches of questions."""

    def __init__(self, folder: Path, batch_size: int, device: str, threads: int | None = None):
        import torch

        files = ModelFolder(folder)
        check_whole(files, ["weights", "config", "tokenizer"])
        if threads:
            torch.set_num_threads(threads)
        self.model: VideoBertForPreTraining = read_network(files).eval()
        self.to(device)
        self.tokenizer = read_tokenizer(Path(files.tokenizer))
        self.tokenizer.encode_special_tokens = True  # a "[SEP]" that somebody writes is text, as in the tokens
        config = self.model.config
        self.vocabulary = read_vocabulary(Path(files.tokenizer), config.visual_words, config.visual_levels)
        if self.vocabulary.vocab_size != config.vocab_size:
            raise UserError(
                f"{files.tokenizer} has {self.vocabulary.vocab_size} word pieces, but {files.config} says "
                f"{config.vocab_size}: {COPY_ANEW}"
            )
        self.unknown = self.tokenizer.token_to_id("[UNK]")
        self.batch_size = batch_size

    def to(self, device: str) -> None:
        """Moves the model: auto, cpu, cuda, cuda:1."""
        self.device = resolve_device(device)
        network: Any = self.model  # transformers' types of `to` do not fit its own classes
        network.to(self.device)

    def pieces(self, text: str) -> npt.NDArray[np.int64]:
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def words(self, text: str) -> list[tuple[str, Ids]]:
        """The words of a text, with the ids of their pieces; no punctuation."""
        found = self.tokenizer.encode(text, add_special_tokens=False)
        spans: dict[int, list[int]] = {}
        for place, word in enumerate(found.word_ids):
            spans.setdefault(-1 if word is None else word, []).append(place)
        words = [
            (text[found.offsets[places[0]][0] : found.offsets[places[-1]][1]], np.array([found.ids[p] for p in places]))
            for places in spans.values()
        ]
        return [(word, ids) for word, ids in words if any(map(str.isalnum, word))]

    def unknown_words(self, text: str, known: npt.NDArray[np.bool_]) -> list[str]:
        """The words of a text that the model cannot know: with a piece that is not `known` (V,), bool. What a word begins
        with counts for the whole when it is half of it, as in "onion" and "##s"."""

        def is_known(word: str, ids: Ids) -> bool:
            first = len(self.tokenizer.id_to_token(int(ids[0])) or "")
            return bool(known[ids].all() or (known[ids[0]] and 2 * first >= len(word)))

        return [word for word, ids in self.words(text) if not is_known(word, ids)]

    def nearest_words(self, word: str, known: npt.NDArray[np.bool_], count: int = 3) -> list[str]:
        """The words that are one piece, are `known`, and are written most like this one."""
        from difflib import get_close_matches

        pieces = [self.tokenizer.id_to_token(int(id_)) or "" for id_ in np.flatnonzero(known)]
        return get_close_matches(
            word.lower(), [piece for piece in pieces if len(piece) > 2 and piece.isalpha()], count, 0.5
        )

    def masked(self, text: str) -> Ids:
        """The ids of a sentence with [MASK]s."""
        first, *others = (self.pieces(part) for part in text.split("[MASK]"))
        return np.concatenate([first, *(np.append(self.vocabulary.mask, part) for part in others)])

    def room(self, pieces: int) -> int:
        """How many clips the model reads beside so many word pieces and three special tokens. Raises UserError for none."""
        room = self.model.config.max_position_embeddings - 3 - pieces
        if room < 1:
            raise UserError(f"the text has {pieces} word pieces, and leaves no room for a video: shorten it")
        return room

    def sequence(self, text: Ids, video: Video) -> Input:
        """The sequence of a text, ids of words, and a video, cut to the model's length."""
        if not self.reads_features:
            video = Video(video.words)
        elif video.features is None and (video.words != MASKED).any():
            raise UserError(
                "the model reads the features of clips (pretrain.visual_input), and here are visual words alone"
            )
        return lay_out(*shorten(text, video, self.model.config.max_position_embeddings), self.vocabulary)

    def read(self, sequences: list[Input]) -> Iterator[tuple[int, Any]]:
        """Yields (index of the first sequence of the batch, the model's output for the batch)."""
        import torch

        for first in range(0, len(sequences), self.batch_size):
            batch = pad_inputs(sequences[first : first + self.batch_size], self.vocabulary)
            with torch.inference_mode():
                yield first, self.model(**{name: tensor.to(self.device) for name, tensor in batch.items()})

    @property
    def reads_features(self) -> bool:
        """Whether the model reads the features of clips, and not their visual words alone."""
        return getattr(self.model.config, "visual_input", "words") != "words"  # a BERT of text alone has none

    @property
    def has_vectors(self) -> bool:
        """Whether the model was trained to give a text alone and a video alone a vector each."""
        return bool(self.model.config.contrastive_weight)

    def vectors_of_texts(self, texts: Iterable[Ids]) -> npt.NDArray[np.float32]:
        """The model's own vectors of texts, ids of words: (texts, hidden_size)."""
        return self._vectors([self.sequence(text, NO_VIDEO) for text in texts], self.model.text_vectors)

    def vectors_of_videos(self, videos: Iterable[Video]) -> npt.NDArray[np.float32]:
        """The model's own vectors of videos: (videos, hidden_size)."""
        return self._vectors([self.sequence(NO_TEXT, video) for video in videos], self.model.video_vectors)

    def _vectors(self, sequences: list[Input], project: "Callable[..., torch.Tensor]") -> npt.NDArray[np.float32]:
        import torch

        found = [np.empty((0, self.model.config.hidden_size), np.float32)]
        for _, output in self.read(sequences):
            with torch.inference_mode():
                found.append(project(output.last_hidden_state).float().cpu().numpy())
        return np.concatenate(found)

    def word_logits(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Hidden states (..., hidden_size) to scores of the words (..., V)."""
        return self.model.text_logits(hidden)

    def log_probabilities(self, sequences: list[Input]) -> list[npt.NDArray[np.float32]]:
        """For each sequence, (its masks among the words, V) log-probabilities."""
        logits = self._at_masks(sequences, 0, self.word_logits)
        return [scores.log_softmax(-1).cpu().numpy() for scores in logits]

    def visual_answers(self, sequences: list[Input]) -> Iterator[VisualAnswer]:
        """For each sequence, the answer at its masks among the visual words; one at a time, since all would take memory."""
        levels = self.model.config.visual_levels
        for scores in self._at_masks(sequences, 1, self.model.video_logits):
            by_level = scores.unflatten(-1, (levels, -1)).log_softmax(-1)
            yield VisualAnswer(by_level.transpose(0, 1).cpu().numpy())

    def _at_masks(
        self, sequences: list[Input], type_: int, head: "Callable[[torch.Tensor], torch.Tensor]"
    ) -> "Iterator[torch.Tensor]":
        """For each sequence, the head's scores at its masks of this token type, (masks, scores) float."""
        import torch

        for first, output in self.read(sequences):
            for hidden, sequence in zip(output.last_hidden_state, sequences[first:], strict=False):
                is_asked = (sequence.ids == self.vocabulary.mask) & (sequence.types == type_)
                where = torch.from_numpy(np.flatnonzero(is_asked)).to(self.device)
                with torch.inference_mode():
                    logits = head(hidden[where]).float()
                yield logits

    def best_words(self, answer: npt.NDArray[np.floating], top: int) -> list[tuple[str, float]]:
        """The `top` word pieces of a mask's log-probabilities (V,), best first, with probabilities; special tokens left out."""
        choices = self.vocabulary.choices()
        best = choices[np.argsort(-answer[choices], kind="stable")[:top]]
        name = self.tokenizer.id_to_token
        return [(name(int(id_)) or "[UNK]", float(np.exp(answer[id_]))) for id_ in best]

    def alignments(self, sequences: list[Input]) -> npt.NDArray[np.float32]:
        """For each sequence, the score that text and video belong together (positive: yes)."""
        return np.concatenate([output.alignment_logits.float().cpu().numpy() for _, output in self.read(sequences)])


def read_network(model: ModelFolder) -> "VideoBertForPreTraining":
    """Reads weights and configuration. Raises UserError when one is damaged, or when they do not fit together."""
    from videobert.model.modeling_videobert import VideoBertForPreTraining

    trained = read_provenance(Path(model.weights)).get("settings", {})
    network: VideoBertForPreTraining = read_pretrained(VideoBertForPreTraining, Path(model.folder))
    for name in SIZES:
        if trained.get(name, getattr(network.config, name)) != getattr(network.config, name):
            raise UserError(f"{model.config} does not fit {model.weights} ({name} is another): {COPY_ANEW}")
    return network


def read_pretrained(class_: Any, folder: Path) -> Any:
    """A model of transformers in a folder. Raises UserError, in a line, when its files cannot be read or do not fit."""
    files = ModelFolder(folder)
    try:
        with quiet():
            network, report = class_.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    except (
        Exception
    ) as error:  # of json, safetensors, torch and transformers, whose checks of a configuration are of all kinds
        if isinstance(error, MemoryError):
            raise
        why = one_line(str(error), longest=120)
        raise UserError(f"{files.config} and {files.weights} cannot be read together ({why}): {COPY_ANEW}") from None
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *(name for name, *_ in report["mismatched_keys"])]
    if wrong:
        raise UserError(f"{files.config} does not fit {files.weights} (see {min(wrong)}): {COPY_ANEW}")
    return network


def write_pretrained(network: Any, folder: Path) -> None:
    """Has a model of transformers write its configuration and weights into a folder."""
    with quiet():
        network.save_pretrained(folder)


def check_parts(model: ModelFolder) -> None:
    """Raises UserError when the codebook or the vocabulary is not the one that the weights were trained with, by its hash."""
    inputs = read_provenance(Path(model.weights)).get("inputs", {})
    for name, file in (("codebook", model.centroids), ("vocabulary", model.tokenizer)):
        if inputs.get(name) not in (None, sha256(Path(file))):
            raise UserError(f"{file} is not the one that {model.weights} was trained with: {COPY_ANEW}")


def check_whole(model: ModelFolder, names: list[str]) -> None:
    """Raises UserError that says which of these files of a model folder are not there."""
    files = model.files()
    lacking = [Path(files[name]).name for name in names if not Path(files[name]).is_file()]
    if "model.safetensors" in lacking:
        raise UserError(f"{model.weights} is missing: the stage pretrain has not run, or this is no model folder")
    if lacking:
        raise UserError(
            f"{model.folder} lacks {', '.join(lacking)}: transformers' save_pretrained writes the network alone; copy the "
            "other files from the folder that the model was loaded from"
        )


def check_same_codebook(tokens: dict[str, Any], table: Path, model: Path) -> None:
    """Raises UserError when tokens, by the provenance of their `table`, are of another codebook than the model's."""
    recorded, used = tokens.get("codebook_sha256"), read_provenance(model).get("inputs", {}).get("codebook")
    if recorded != used:
        raise UserError(
            f"{model} was trained with codebook {str(used)[:12]}, but {table} was made with {str(recorded)[:12]}: "
            "run the stage pretrain again"
        )
