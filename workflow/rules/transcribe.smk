# Speech to sentences with times, by Whisper or from captions.

from videobert.stages.transcribe import VERSION as TRANSCRIBE


rule transcribe_shard:
    input:
        download=f"{RESULTS}/download/{{shard}}/ledger.parquet",
    output:
        table=f"{RESULTS}/transcribe/{{shard}}.parquet",
        ledger=f"{RESULTS}/transcribe/_ledger/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/transcribe/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/transcribe/{{shard}}.tsv"
    conda:
        "../../envs/transcribe.yaml"
    threads: config["transcribe"]["threads"]
    params:
        version=TRANSCRIBE,
        settings=settings("transcribe"),
    shell:
        "python -m videobert transcribe --download {input.download:q} --output {output.table:q}"
        " --ledger {output.ledger:q} {params.settings} --device {config[transcribe][device]}"
        " --threads {config[transcribe][threads]} > {log:q} 2>&1"


rule transcribe_ledger:
    input:
        ledgers=each_shard("transcribe/_ledger/{shard}.parquet"),
        manifest=MANIFEST,
    output:
        f"{RESULTS}/ledger/transcribe.parquet",
    log:
        f"{RESULTS}/logs/ledger/transcribe.log",
    conda:
        "../../envs/corpus.yaml"
    params:
        results=RESULTS,
    shell:
        "python -m videobert ledger --results {params.results:q} --stage transcribe --manifest {input.manifest:q}"
        " --output {output:q} > {log:q} 2>&1"


rule transcribe:
    input:
        each_shard("transcribe/{shard}.parquet"),
        rules.transcribe_ledger.output,
