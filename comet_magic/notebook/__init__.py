"""What a notebook sees: the magics, their completion, the output of a cell, and the panel."""
