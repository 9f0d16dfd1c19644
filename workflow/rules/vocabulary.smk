# The WordPiece vocabulary of the text.


rule vocabulary:
    input:
        transcripts=tables("transcribe"),
        manifest=FILES.manifest,
    output:
        tokenizer=OWN.tokenizer,
        tokenizer_config=OWN.tokenizer_config,
        provenance=OWN.vocabulary_provenance,
    log:
        OWN.log("vocabulary"),
    benchmark:
        OWN.benchmark("vocabulary")
    conda:
        "../../envs/vocabulary.yaml"
    resources:
        **needs("vocabulary"),
    params:
        version=version("vocabulary"),
        settings=settings("vocabulary"),
        execution=execution("vocabulary"),
    shell:
        "python -m videobert vocabulary --transcripts {input.transcripts:q} --manifest {input.manifest:q}"
        " --tokenizer_json {output.tokenizer:q} --provenance {output.provenance:q} {params.settings} {params.execution}"
        " > {log:q} 2>&1"
