"""A hardware-in-the-loop test bench for EV charging stations."""

__version__ = "0.1.0"
