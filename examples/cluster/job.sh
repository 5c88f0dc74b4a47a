#!/bin/bash
#SBATCH --job-name=cluster
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# The job: sbatch examples/cluster/job.sh [arguments of train.py]
set -euo pipefail
export ACCEL_TRACK_DELIVERY=none  # journal only: no server is asked for, no SDK is imported

here=${SLURM_SUBMIT_DIR:+$SLURM_SUBMIT_DIR/examples/cluster}  # SLURM runs a copy of this file
exec python "${here:-$(dirname "$0")}/train.py" "$@"
