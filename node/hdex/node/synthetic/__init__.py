"""The product's own default input: raw exports of invented hospitals, reproducible by seed."""

from hdex.node.synthetic.generate import HospitalTruth, Truth, generate

__all__ = ["HospitalTruth", "Truth", "generate"]
