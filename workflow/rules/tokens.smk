# Sentences and features to joint sequences of word pieces and visual words.

from videobert.stages.tokens import VERSION as TOKENS


rule tokens_shard:
    input:
        transcribe=f"{RESULTS}/transcribe/{{shard}}.parquet",
        features=f"{RESULTS}/features/{{shard}}.parquet",
        codebook=rules.codebook.output.centroids,
        vocabulary=rules.vocabulary.output.tokenizer,
        manifest=MANIFEST,
        exclude=config["tokens"]["exclude"] or [],
    output:
        table=f"{RESULTS}/tokens/{{shard}}.parquet",
        ledger=f"{RESULTS}/tokens/_ledger/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/tokens/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokens/{{shard}}.tsv"
    conda:
        "../../envs/tokens.yaml"
    params:
        version=TOKENS,
        settings=settings("tokens"),
        codebook=f"{RESULTS}/codebook",
        vocabulary=f"{RESULTS}/vocabulary",
    shell:
        "python -m videobert tokens --transcribe {input.transcribe:q} --features {input.features:q}"
        " --codebook {params.codebook:q} --vocabulary {params.vocabulary:q} --manifest {input.manifest:q}"
        " --shard {wildcards.shard} --output {output.table:q} --ledger {output.ledger:q} {params.settings}"
        " > {log:q} 2>&1"


rule tokens_ledger:
    input:
        ledgers=each_shard("tokens/_ledger/{shard}.parquet"),
        manifest=MANIFEST,
    output:
        f"{RESULTS}/ledger/tokens.parquet",
    log:
        f"{RESULTS}/logs/ledger/tokens.log",
    conda:
        "../../envs/corpus.yaml"
    params:
        results=RESULTS,
    shell:
        "python -m videobert ledger --results {params.results:q} --stage tokens --manifest {input.manifest:q}"
        " --output {output:q} > {log:q} 2>&1"


rule tokens:
    input:
        each_shard("tokens/{shard}.parquet"),
        rules.tokens_ledger.output,
