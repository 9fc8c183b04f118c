"""Judges block K requirement by requirement, from the journal alone: one module per use case, one function per requirement."""
