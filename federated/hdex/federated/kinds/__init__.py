"""One module per family of questions, all of one shape: `table.kind_of` finds the kind a study names."""
