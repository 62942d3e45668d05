"""Prints the scalars of a directory of events as TensorBoard's own reader sees them: a line for each, with the bits of
the number. Ends with 77 if TensorBoard is not installed."""

import struct
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
except ImportError:
    sys.exit(77)

events = EventAccumulator(sys.argv[1], size_guidance={SCALARS: 0})
events.Reload()
for tag in sorted(events.Tags()["scalars"]):
    for event in events.Scalars(tag):
        bits = struct.unpack("<I", struct.pack("<f", event.value))[0]
        print(f"{tag} {event.step} {event.wall_time} {bits:08x}")
