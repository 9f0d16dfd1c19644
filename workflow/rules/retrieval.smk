# The video for a text, and the text for a video.
#
# The folder beside the output, with the projection that `videobert search` takes, is no declared output: it is not made
# when no train video has both speech and pictures, which nobody knows before.

from videobert.evaluation.retrieval import VERSION as RETRIEVAL


rule retrieval:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
        annotations=ANNOTATIONS,
    output:
        f"{RESULTS}/evaluate/retrieval.json",
    log:
        f"{RESULTS}/logs/retrieval.log",
    benchmark:
        f"{RESULTS}/benchmarks/retrieval.tsv"
    conda:
        "../../envs/retrieval.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=RETRIEVAL,
        settings=task_settings("retrieval", "annotations", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert retrieval --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
