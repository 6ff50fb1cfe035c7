"""One participant of the exchange: the only room that knows the others, and where they are composed."""
