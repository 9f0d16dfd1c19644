# VideoBERT-in-a-box: from a list of videos to a pretrained joint video-language model.
#
# A stage has one name: the rule, workflow/rules/X.smk, a module X of videobert/stages, evaluation or report, the section X of config.yaml, results/X/.
# Stages that work shard by shard have a rule X_shard, one job a shard, and X_ledger, which gathers what became of each
# video in results/ledger/X.parquet; X asks for both. Data flows down the list of includes and never up.


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/transcribe.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/codebook.smk"
include: "workflow/rules/vocabulary.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/objectives.smk"
include: "workflow/rules/zero_shot.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/retrieval.smk"
include: "workflow/rules/captioning.smk"
include: "workflow/rules/forecasting.smk"
include: "workflow/rules/scaling.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
