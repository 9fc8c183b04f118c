"""OCPI 2.2.1 and 2.3.0 on the wire: models of the objects, transport, checks of what peers send, mapping to OCPP."""
