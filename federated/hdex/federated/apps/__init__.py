"""The Flower apps of this room: ClientApp at the site, ServerApp at the coordinator. Import the modules you need."""
