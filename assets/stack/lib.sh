# shellcheck shell=bash
# What `up` and `down` share: where the stack is, which compose, how to fail.

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
stack="$here/hyper-mission"
project=hyper-mission
name="$(basename "$0")"

say() { echo "$name: $*"; }

fail() {
    echo "$name: $*" >&2
    exit 1
}

began_ms="$(date +%s%3N)"
elapsed() {
    local ms=$(($(date +%s%3N) - began_ms))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

require_engine() {
    local problem
    command -v docker >/dev/null || fail "docker is not installed; the reference stack needs a Docker engine (20.10 or newer)"
    problem="$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null)" \
        || fail "no Docker engine answers: ${problem##*$'\n'}"
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        fail "neither 'docker compose' nor 'docker-compose' is installed"
    fi
}

# Both generations of compose read .env from where they run.
run_compose() {
    (cd "$stack" && COMPOSE_PROJECT_NAME="$project" "${compose[@]}" "$@")
}

# One `up` or `down` at a time; the second waits for the first.
LOCK_LIMIT_S=300
take_lock() {
    mkdir -p "$stack/.state"
    # Not in the folder of the stack: two checkouts would be two locks for one project.
    exec 8>"${XDG_RUNTIME_DIR:-/tmp}/hyper-mission.lock"
    flock -w "$LOCK_LIMIT_S" 8 || fail "another up or down has been running for $LOCK_LIMIT_S s"
}
