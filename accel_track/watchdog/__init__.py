"""What a process leaves behind for `accel-track autopsy`: stacks, signs of life, the error that ended it."""
