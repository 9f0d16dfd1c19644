# The list of videos: clean ids, shards that stay, the split.


rule corpus:
    output:
        manifest=OWN.manifest,
        ledger=OWN.ledger("corpus"),
        # Kept from run to run: as a plain output, Snakemake would delete it before the job.
        register=update(OWN.register),
    log:
        OWN.log("corpus"),
    benchmark:
        OWN.benchmark("corpus")
    conda:
        "../../envs/corpus.yaml"
    params:
        version=version("corpus"),
        settings=settings("corpus"),
        execution=execution("corpus"),
        # The list is no input: a newer time alone changes nothing, a source, an id or a split does.
        videos=list_digest(*PLAN),
    shell:
        "python -m videobert corpus --manifest {output.manifest:q} --ledger {output.ledger:q}"
        " --id_register {output.register:q} {params.settings} {params.execution} > {log:q} 2>&1"
