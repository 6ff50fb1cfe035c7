"""Pages of participants, rendered from view models: nothing here decides."""
