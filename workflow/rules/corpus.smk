# The list of videos: clean ids, shards that stay, the split.

from videobert.stages.corpus import VERSION as CORPUS


rule corpus:
    input:
        videos=config["corpus"]["videos"],
    output:
        manifest=MANIFEST,
        ledger=f"{RESULTS}/ledger/corpus.parquet",
    log:
        f"{RESULTS}/logs/corpus.log",
    benchmark:
        f"{RESULTS}/benchmarks/corpus.tsv"
    conda:
        "../../envs/corpus.yaml"
    params:
        version=CORPUS,
        settings=flags({key: value for key, value in config["corpus"].items() if key != "videos"}),
        register=REGISTER,
    shell:
        "python -m videobert corpus --videos {input.videos:q} --output {output.manifest:q} --ledger {output.ledger:q}"
        " --register {params.register:q} {params.settings} > {log:q} 2>&1"
