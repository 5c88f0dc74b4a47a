#!/bin/bash
# On a node with internet: deliver what the journals below a folder hold and the backends do not have yet.
#
#     bash examples/cluster/deliver.sh [FOLDER] [options of accel-track sync, such as --to mlflow]
set -euo pipefail
folder=${1:-runs}
shift || true
accel-track sync "$folder"/.accel_track/*/*/ "$@"
