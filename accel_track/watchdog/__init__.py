"""The evidence that a process leaves for `accel-track autopsy`: stacks, signs of life, the error that ended it."""
