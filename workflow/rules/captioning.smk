# The sentences of annotated steps, written by decoders on top of the model's outputs and of S3D's.
#
# The folder beside the output, with the decoder that a person may use, is no declared output: it is not made when the task
# is left out for want of a sentence, which nobody knows before.

from videobert.evaluation.captioning import VERSION as CAPTIONING


rule captioning:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        features=each_shard("features/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
        annotations=ANNOTATIONS,
    output:
        f"{RESULTS}/evaluate/captioning.json",
    log:
        f"{RESULTS}/logs/captioning.log",
    benchmark:
        f"{RESULTS}/benchmarks/captioning.tsv"
    conda:
        "../../envs/captioning.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=CAPTIONING,
        settings=task_settings("captioning", "annotations", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        features=f"{RESULTS}/features",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert captioning --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --features {params.features:q} --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
