"""Emulated instruments on emulated lines; what they show is worked out from the rig's one physical truth when they are asked."""
