# The workflow is workflow/Snakefile. This file is what `snakemake` finds in the folder of a checkout.


include: "workflow/Snakefile"


# An included file's default target is thrown away.
rule default:
    default_target: True
    input:
        rules.all.input,
