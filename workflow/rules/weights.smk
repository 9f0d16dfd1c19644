# The pretrained weights that the configuration names, for the node of a cluster that reaches the network: snakemake weights.
#
# A target of its own that no rule reads: as an input, even an ancient one, a record that is missing or new would plan the jobs of
# finished results again. Other targets need no such job: what their stages need is fetched before the first one (`onstart`).


rule weights:
    output:
        OWN.weights,
    log:
        OWN.log("weights"),
    benchmark:
        OWN.benchmark("weights")
    localrule: True
    conda:
        "../../envs/weights.yaml"
    params:
        # Whoever asks for it has it done: what was fetched may have been deleted since.
        asked=as_it_is(BEGAN),
        config=untracked(json.dumps(CONFIG.model_dump())),
        online=untracked(ONLINE),
    shell:
        "printf %s {params.config:q} | {params.online} python -m videobert weights /dev/stdin --record {output:q} > {log:q} 2>&1"
