# How fast people speak.


rule pace:
    input:
        transcripts=tables("transcribe"),
    output:
        OWN.pace,
    log:
        OWN.log("pace"),
    benchmark:
        OWN.benchmark("pace")
    conda:
        "../../envs/pace.yaml"
    params:
        version=version("pace"),
        settings=settings("pace"),
        execution=execution("pace"),
    shell:
        "python -m videobert pace --transcripts {input.transcripts:q}"
        " --pace {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
