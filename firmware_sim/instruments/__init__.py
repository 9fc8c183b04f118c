"""Instruments that show the rig's truth by their own protocols."""
