"""A connector of the Dataspace Protocol 2025-1: negotiations and transfers in both roles, whatever carries them."""
