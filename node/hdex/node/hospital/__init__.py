"""A hospital's verbs: data in, products out, requests decided, ranges delivered, rounds admitted."""
