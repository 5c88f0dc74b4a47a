"""What people see of runs: their content, where they are, how they went."""
