# The WordPiece vocabulary of the text.

from videobert.stages.vocabulary import VERSION as VOCABULARY


rule vocabulary:
    input:
        transcribe=each_shard("transcribe/{shard}.parquet"),
        manifest=MANIFEST,
    output:
        tokenizer=f"{RESULTS}/vocabulary/tokenizer.json",
        made=f"{RESULTS}/vocabulary/made.json",
    log:
        f"{RESULTS}/logs/vocabulary.log",
    benchmark:
        f"{RESULTS}/benchmarks/vocabulary.tsv"
    conda:
        "../../envs/vocabulary.yaml"
    params:
        version=VOCABULARY,
        settings=settings("vocabulary"),
        transcribe=f"{RESULTS}/transcribe",
        folder=f"{RESULTS}/vocabulary",
    shell:
        "python -m videobert vocabulary --transcribe {params.transcribe:q} --manifest {input.manifest:q}"
        " --output {params.folder:q} {params.settings} > {log:q} 2>&1"
