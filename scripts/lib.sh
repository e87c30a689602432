# What the scripts share. Sourced by bash scripts that have set -euo pipefail.
#
# People read standard error: each step with the time since the start. Standard output is for results.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/assay"
STARTED=$SECONDS

# One folder for all builds of this user, outside of the tree: RocksDB and the engine are compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"

say() {
    local elapsed=$((SECONDS - STARTED))
    printf '[%3d:%02d] %s\n' $((elapsed / 60)) $((elapsed % 60)) "$*" >&2
}

# A script that takes --json sets this to yes: then what it prints on standard output is one document, errors included.
json=no

# Text as a JSON string.
json_string() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\n'/\\n}
    text=${text//$'\r'/\\r}
    text=${text//$'\t'/\\t}
    printf '"%s"' "${text//[[:cntrl:]]/}"
}

# succeed DATA [WARNING]: the document of a command that is done. DATA is JSON.
succeed() {
    local warnings='[]'
    [[ -z ${2:-} ]] || warnings="[$(json_string "$2")]"
    printf '{"schema_version": 1, "success": true, "data": %s, "errors": [], "warnings": %s}\n' "$1" "$warnings"
}

# die MESSAGE [HINT [CODE]]: what is wrong, and what the reader can do about it. The exit code follows the command line's:
# 2 for usage, 4 for what is not there, 5 for what does not answer, 1 for the rest.
die() {
    local message=$1 hint=${2:-} code=${3:-failed} help=null status=1
    case $code in
        usage) status=2 ;;
        not_found) status=4 ;;
        no_cluster | not_ready) status=5 ;;
    esac
    if [[ $json == yes ]]; then
        [[ -z $hint ]] || help=$(json_string "$hint")
        printf '{"schema_version": 1, "success": false, "data": null, "errors": [{"code": %s, "message": %s, "help": %s}], "warnings": []}\n' \
            "$(json_string "$code")" "$(json_string "$message")" "$help"
    else
        printf 'error: %s\n' "$message" >&2
        [[ -z $hint ]] || printf '  hint: %s\n' "$hint" >&2
    fi
    exit "$status"
}

# libclang itself, under the names that bindgen looks for; libclang-cpp is another library.
has_libclang() {
    [[ -n "${LIBCLANG_PATH:-}" ]] || ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so' ||
        compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null
}

has_command() {
    command -v "$1" >/dev/null
}

# need_packages PACKAGE=CHECK…: installs the Debian packages whose check (a command of ours, with its arguments) fails.
need_packages() {
    local missing=() pair
    for pair in "$@"; do
        # The check is split into its words on purpose.
        ${pair#*=} || missing+=("${pair%%=*}")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    local run=()
    if [[ $EUID -ne 0 ]]; then
        has_command sudo && sudo -n true 2>/dev/null ||
            die "missing: ${missing[*]}" "sudo apt-get install ${missing[*]}   (or your system's packages of that name)"
        run=(sudo)
    fi
    has_command apt-get || die "missing: ${missing[*]}" "install your system's packages of that name"
    say "installing ${missing[*]}"
    "${run[@]}" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        die "apt-get could not install ${missing[*]}" "install them by hand and start again"
}

# What compiling takes: Rust, a C++ compiler for RocksDB, and libclang for its bindings.
need_build_tools() {
    has_command cargo || die "cargo is not installed" "install Rust 1.95 or newer from https://rustup.rs"
    need_packages "g++=has_command c++" "make=has_command make" "libclang-dev=has_libclang"
}

# Node.js new enough for the browser code's tools (query-site/web/package.json, "engines").
has_node() {
    has_command node && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
}

# What the browser code takes to be built, and with `chromium` to be tried in a browser.
need_browser_tools() {
    need_packages "nodejs=has_node" "npm=has_command npm"
    has_node || die "Node.js is older than 20.19" "install a newer one from https://nodejs.org"
    [[ ${1:-} != chromium ]] || need_packages "chromium=has_command chromium"
}

# Prometheus and its promtool, unpacked beside our other tools: the package itself would start a service. Sets ASSAY_PROMETHEUS.
need_prometheus() {
    export ASSAY_PROMETHEUS="$CACHE/tools/prometheus/usr/bin"
    if has_command prometheus && has_command promtool; then
        ASSAY_PROMETHEUS="$(dirname "$(command -v prometheus)")"
    elif [[ ! -x $ASSAY_PROMETHEUS/promtool ]]; then
        has_command apt-get && has_command dpkg-deb ||
            die "prometheus is not installed" "install Prometheus and its promtool, and start again"
        say "unpacking Prometheus"
        local folder
        folder=$(mktemp -d)
        # The lists of packages may be missing; a system that nobody has updated says so by failing.
        [[ $EUID -ne 0 ]] || apt-get update -qq >&2
        mkdir -p "$CACHE/tools"
        (cd "$folder" && apt-get download -qq prometheus >&2 && dpkg-deb -x prometheus_*.deb "$CACHE/tools/prometheus") ||
            die "apt-get could not fetch prometheus" "apt-get update, or install Prometheus by hand"
        rm -rf "$folder"
    fi
}

# Says so before a build that takes long. Compiling RocksDB and the engine once is most of it.
# Names the commit for --version, in the three programs' own crates alone.
announce_first_build() {
    ASSAY_COMMIT="$(git -C "$ROOT" describe --always --exclude '*' --abbrev=12 --dirty 2>/dev/null || true)"
    export ASSAY_COMMIT
    mkdir -p "$CARGO_TARGET_DIR"
    if ! compgen -G "$CARGO_TARGET_DIR/release/deps/librocksdb-*" >/dev/null; then
        say "the first build compiles RocksDB and the consensus engine: about half an hour on 2 cores, into $CARGO_TARGET_DIR"
    fi
}

# with_progress TITLE COMMAND…: runs a command. At a terminal its own output is the progress; elsewhere there is a line every
# half minute, and the whole output only when it fails.
with_progress() {
    local title=$1 log status=0
    shift
    say "$title"
    if [[ -t 2 ]]; then
        "$@" >&2 || die "$title: failed"
        return 0
    fi
    log=$(mktemp)
    "$@" >"$log" 2>&1 &
    local pid=$! waited=0 traps
    # A shell without a terminal keeps Ctrl-C from its background commands: pass it on.
    traps=$(trap -p INT TERM)
    trap 'kill "$pid" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        waited=$((waited + 1))
        if ((waited % 30 == 0)); then
            say "  … $(grep -cE '^ +(Compiling|Checking) ' "$log" || true) packages compiled," \
                "$(grep -cE '^test .* \.\.\. ok$' "$log" || true) tests passed"
        fi
    done
    wait "$pid" || status=$?
    trap - INT TERM
    eval "$traps"
    if [[ $status -ne 0 ]]; then
        cat "$log" >&2
        rm -f "$log"
        die "$title: failed with status $status"
    fi
    awk '/^test result: ok/ { passed += $4; ignored += $8 }
        END { if (passed) print "  " passed " tests passed" (ignored ? ", " ignored " ignored" : "") }' "$log" >&2
    rm -f "$log"
}

# What the programs are built from, for the logs of node/faults, which grow by their own runs.
built_commit() {
    local commit
    commit=$(git -C "$ROOT" rev-parse --short=12 HEAD)
    [[ -z $(git -C "$ROOT" status --porcelain -- "$ROOT" ':!node/faults/*.tsv' ':!node/faults/speed*' ':!node/STRENGTH.md') ]] ||
        commit+=-dirty
    printf '%s' "$commit"
}

# Where the programs are. Whoever has them already names their folder in ASSAY_PROGRAMS, and nothing is built.
PROGRAMS="${ASSAY_PROGRAMS:-$CARGO_TARGET_DIR/release}"

# The programs, built when something changed; and what the scripts themselves run with.
build_binaries() {
    need_packages "python3=has_command python3"
    [[ -z ${ASSAY_PROGRAMS:-} ]] || return 0
    need_build_tools
    announce_first_build
    with_progress "building the programs" \
        cargo build --manifest-path "$ROOT/Cargo.toml" --locked --release --workspace --bins
}
