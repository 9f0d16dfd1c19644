"""The names of the report's rows and columns, and the paper's own figures (Sun et al. 2019, tables 1 to 3)."""

from videobert.report.parts import BLUE, GOLD, GREEN, GREY, ORANGE, PURPLE

ACCURACIES = {
    "verb_top1": "verb top-1",
    "verb_top5": "verb top-5",
    "object_top1": "object top-1",
    "object_top5": "object top-5",
}


CONDITIONS = {  # rows of zero-shot classification, with their colours in the plot
    "chance": ("chance", GREY),
    "bert": ("BERT that saw no video", GOLD),
    "language_prior": ("language prior: no video", ORANGE),
    "shuffled_video": ("shuffled: another video", PURPLE),
    "cross_modal": ("cross-modal", BLUE),
    "s3d_supervised": ("S3D, trained for it", GREEN),
}


# Sun et al. 2019, table 1.
PAPER_ZERO_SHOT = {
    "S3D (supervised)": (0.161, 0.469, 0.132, 0.309),
    "BERT (language prior)": (0.0, 0.0, 0.0, 0.0),
    "VideoBERT (language prior)": (0.004, 0.069, 0.077, 0.153),
    "VideoBERT (cross-modal)": (0.032, 0.433, 0.131, 0.337),
}


PROBES = {
    "chance": "chance",
    "most_frequent": "always the most frequent",
    "visual_words": "visual words, counted",
    "random_weights": "the encoder, untrained",
    "s3d": "S3D's features",
    "videobert_cls": "VideoBERT, [CLS]",
    "videobert_mean": "VideoBERT, mean of clips",
}


RANKS = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "median rank"}


SEARCHES = {
    "chance": "chance",
    "shuffled": "query of another video",
    "first_stage": "first stage: vectors",
    "projection": "the projection's vectors",
    "cross_encoder": "second: alignment head",
}


CAPTION_SCORES = {"bleu3": "BLEU-3", "bleu4": "BLEU-4", "meteor": "METEOR", "rouge_l": "ROUGE-L", "cider": "CIDEr"}


CAPTIONERS = {
    "no_video": "no video",
    "s3d": "S3D",
    "videobert_video_only": "VideoBERT, without the template",
    "videobert": "VideoBERT",
    "videobert_s3d": "VideoBERT + S3D",
}


# Sun et al. 2019, table 3: BLEU, METEOR and ROUGE-L in percent there, shares of one here.
PAPER_CAPTIONING = {
    "Zhou et al. 2018": (0.0753, 0.0384, 0.1155, 0.2744, 0.38),
    "S3D": (0.0612, 0.0324, 0.0952, 0.2609, 0.31),
    "VideoBERT": (0.0680, 0.0404, 0.1101, 0.2750, 0.49),
    "VideoBERT + S3D": (0.0759, 0.0433, 0.1194, 0.2880, 0.55),
}


FORECASTERS = {
    "chance": ("chance", GREY),
    "most_frequent": ("most frequent word", GOLD),
    "repeat_last": ("the last word again", ORANGE),
    "bigram": ("what most often followed it", PURPLE),
    "videobert": ("VideoBERT", BLUE),
}


# Sun et al. 2019, table 2.
PAPER_SCALING = {
    "10,000 videos": {"verb_top5": 0.155, "object_top5": 0.178},
    "50,000 videos": {"verb_top5": 0.157, "object_top5": 0.273},
    "100,000 videos": {"verb_top5": 0.245, "object_top5": 0.306},
    "300,000 videos": {"verb_top5": 0.433, "object_top5": 0.337},
}


WRITERS = {
    "chance": "chance",
    "most_frequent": "most frequent word",
    "no_text": "masks alone",
    "shuffled_text": "sentence of another video",
    "videobert": "VideoBERT",
}
