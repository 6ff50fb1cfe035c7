"""The exchange's verbs: it keeps the catalogue, the papers of every contract and the studies. It never sees a row."""
