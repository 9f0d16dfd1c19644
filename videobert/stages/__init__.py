"""The stages of the pipeline, a module for each rule. Stages do not import each other."""
