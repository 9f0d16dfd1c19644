"""The built-in corpus: narrated how-to videos of a procedural kitchen, as sources of the form `kitchen:17`."""
