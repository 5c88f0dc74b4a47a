"""The autopsy: why a run ended or hangs, by the evidence that its processes have left."""
