"""Why a run ended or hangs: what was left behind, and what follows from it."""
