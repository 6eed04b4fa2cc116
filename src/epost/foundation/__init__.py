"""What every layer stands on: ids, errors, the codec, effects, calls and the ports to the world."""
