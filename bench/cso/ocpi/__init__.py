"""The bench's OCPI platform: role CPO, receiver of charging profiles, sender of sessions."""
