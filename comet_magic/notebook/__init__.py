"""The faces of a notebook: magics, completion, live output, panel."""
