# Features of the train videos to visual words.

from videobert.stages.codebook import VERSION as CODEBOOK


rule codebook:
    input:
        features=each_shard("features/{shard}.parquet"),
        manifest=MANIFEST,
    output:
        centroids=f"{RESULTS}/codebook/centroids.safetensors",
        statistics=f"{RESULTS}/codebook/statistics.json",
        atlas=f"{RESULTS}/codebook/atlas.parquet",
    log:
        f"{RESULTS}/logs/codebook.log",
    benchmark:
        f"{RESULTS}/benchmarks/codebook.tsv"
    conda:
        "../../envs/codebook.yaml"
    threads: config["codebook"]["threads"]
    params:
        version=CODEBOOK,
        settings=settings("codebook"),
        features=f"{RESULTS}/features",
        folder=f"{RESULTS}/codebook",
    shell:
        "python -m videobert codebook --features {params.features:q} --manifest {input.manifest:q}"
        " --output {params.folder:q} {params.settings} --threads {config[codebook][threads]} > {log:q} 2>&1"
