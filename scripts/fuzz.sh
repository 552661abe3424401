#!/usr/bin/env bash
# Coverage-guided fuzzing with the stable compiler: fuzz.sh TARGET [SECONDS [LIBFUZZER_ARGS…]]
# Targets: http_body, envelope, transactions, wasm_upload. A finding ends the run with exit code 1 and leaves its input, with the
# corpus, under target/fuzz/; `fuzz.sh TARGET 0 FILE` plays an input again.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?which target: http_body, envelope, transactions or wasm_upload}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))

# What cargo-fuzz passes, as far as the stable compiler takes it. An explicit --target keeps it from build scripts.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions --cfg fuzzing"
triple=$(rustc -vV | sed -n 's/^host: //p')
build="${CARGO_TARGET_DIR:-target}/fuzz"
RUSTFLAGS="$coverage" cargo build --release --locked --quiet -p sorofast-fuzz --target "$triple" --target-dir "$build"

corpus="$build/corpus/$target"
mkdir -p "$corpus"
if [ "$target" = http_body ]; then cp rust/sorofast-fuzz/seeds/*.json "$corpus/"; fi
if [ "$target" = wasm_upload ]; then cp rust/sorofast-sandbox/wasm/*.wasm "$corpus/"; fi
run=("$build/$triple/release/$target" -artifact_prefix="$build/$target-")
if [ "$seconds" = 0 ]; then exec "${run[@]}" "$@"; fi
exec "${run[@]}" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -max_len=65536 "$@" "$corpus"
