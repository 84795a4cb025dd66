# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts share. Source it; it sets -euo pipefail and goes to the root of the source tree.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
# CACHE: downloads and unpacked packages, outside the clone so that a fresh clone starts warm.
CACHE=${GODWIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/godwit}
# JOBS: parallel compile jobs.
JOBS=${GODWIT_JOBS:-$(nproc)}
export ROOT CACHE JOBS

say() {
    printf '%s: %s\n' "${0##*/}" "$*"
}

warn() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die STATUS MESSAGE
die() {
    warn "$2"
    exit "$1"
}

# quiet LOG COMMAND...: run it with its output in LOG; show the end of LOG only when it fails.
quiet() {
    local log=$1 status=0
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 || status=$?
    [ "$status" != 0 ] || return 0
    warn "failed ($status): $*"
    tail -n 60 "$log" >&2
    warn "whole output: $log"
    return "$status"
}
