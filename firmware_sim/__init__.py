"""An emulated charging station, its EVs and its meters: one physical truth, seen and distorted by each part in its own way.

It stands in for the hardware on a bench and shares no code with one: own profile store and pointwise limiter, own wire stack
on the `ocpp` package, own reading of meter register maps. In one process `firmware_sim.rig.open_rig` starts it; on its own it
runs as `python -m firmware_sim`.
"""

import logging

logging.getLogger("firmware_sim").addHandler(logging.NullHandler())
