#!/usr/bin/env bash
# Rebuilds the contracts' wasm and says, file by file, whether the bytes are those committed.
#
#   rebuild.sh             build and compare; exit 1 when something differs
#   rebuild.sh --write     build, put the files in place and write SHA256SUMS and VERSIONS
#   rebuild.sh --download  fetch the Debian compiler into the cache folder first (about 1 GB unpacked)
#
# The compiler is the first there is of:
#   1. $SOROFAST_WASM_RUST, a folder with Debian's rustc-web packages unpacked in it;
#   2. the same in the cache folder, ${XDG_CACHE_HOME:-$HOME/.cache}/sorofast/wasm-rust, where --download puts it;
#   3. the rustc on PATH, with its target wasm32v1-none (`rustup target add wasm32v1-none`).
# The first two build the standard library with the contracts and leave panic messages out, which a stable compiler
# does not offer, so files from the third are larger. VERSIONS beside the wasm says what the committed ones were made by.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wasm=$here/../sorofast-sandbox/wasm
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sorofast
target=${CARGO_TARGET_DIR:-$here/target}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
triple=wasm32v1-none
names=(always_panics burns_instructions changeable counter switch_resolver task_registry)

fail() {
    printf 'rebuild: %s\n' "$1" >&2
    exit 1
}

# The package whose name fits a pattern, of those that package $1 depends on.
depends() {
    apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \\($2\\)\$/\\1/p" | head -n 1
}

# Downloads what Debian's rustc-web needs and unpacks it side by side. Not installed: the packages conflict with rustup's.
download() {
    local folder=$cache/wasm-rust library llvm
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "--download needs apt-get and dpkg (Debian)"
    # Both names carry a version that follows the compiler's.
    library=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
    llvm=$(depends "${library:-none}" 'libllvm[0-9]*')
    [ -n "$llvm" ] || fail "apt knows no rustc-web with its libraries; run apt-get update (Debian 12 or later)"
    mkdir -p "$folder/packages"
    (cd "$folder/packages" && apt-get download rustc-web "$library" libstd-rust-web-dev rust-web-src "$llvm")
    for package in "$folder"/packages/*.deb; do
        dpkg -x "$package" "$folder"
    done
    rm -r "$folder/packages"
}

write=false
for argument in "$@"; do
    case $argument in
    --write) write=true ;;
    --download) download ;;
    *) fail "unknown argument $argument (there are --write and --download)" ;;
    esac
done

debian=
if [ -n "${SOROFAST_WASM_RUST:-}" ]; then
    [ -x "$SOROFAST_WASM_RUST/usr/bin/rustc" ] || fail "\$SOROFAST_WASM_RUST holds no usr/bin/rustc"
    debian=$(cd "$SOROFAST_WASM_RUST" && pwd)
elif [ -x "$cache/wasm-rust/usr/bin/rustc" ]; then
    debian=$cache/wasm-rust
elif [ ! -d "$(rustc --print target-libdir --target $triple 2>/dev/null)" ]; then
    fail "no compiler for $triple: run 'rustup target add $triple', or '$(basename "$0") --download' on Debian"
fi

flags=("--remap-path-prefix=$cargo_home=/cargo" "--remap-path-prefix=$here=/contracts")
arguments=(build --release --locked --target "$triple" --manifest-path "$here/Cargo.toml")
if [ -n "$debian" ]; then
    mkdir -p "$target"
    # The libraries are not where the system's loader looks for them.
    compiler=$target/debian-rustc
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
        "$debian/usr/lib/$(uname -m)-linux-gnu" "$debian/usr/bin/rustc" >"$compiler"
    chmod +x "$compiler"
    linker=$(ls "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld 2>/dev/null | head -n 1 || true)
    linker=${linker:-$(command -v wasm-ld || true)}
    [ -n "$linker" ] || fail "no linker: neither rustc's own rust-lld nor wasm-ld is here"
    export RUSTC=$compiler RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32V1_NONE_LINKER=$linker
    flags+=("--remap-path-prefix=$debian=/rust" -Zunstable-options -Cpanic=immediate-abort)
    arguments+=(-Zbuild-std=core,alloc)
    way="build-std of core and alloc, panic immediate-abort"
else
    way="target $triple of the toolchain"
fi

unset RUSTFLAGS
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
CARGO_TARGET_DIR=$target cargo "${arguments[@]}"

version=$("${RUSTC:-rustc}" --version)
sdk=$(sed -n '/^name = "soroban-sdk"$/{n;s/^version = "\(.*\)"$/\1/p}' "$here/Cargo.lock")
versions=$(printf '%s\nsoroban-sdk %s\n%s' "$version" "$sdk" "$way")

differs=0
for name in "${names[@]}"; do
    built=$target/$triple/release/$name.wasm
    for path in "$HOME" "$here" "$cargo_home" "${debian:-$here}" /home/ /Users/; do
        if [ "$path" != / ] && grep -qaF -- "$path" "$built"; then
            fail "$name.wasm holds a path of this machine"
        fi
    done
    bytes=$(wc -c <"$built")
    if cmp -s "$built" "$wasm/$name.wasm"; then
        printf '%-24s %6d bytes  the same\n' "$name" "$bytes"
    else
        printf '%-24s %6d bytes  DIFFERENT\n' "$name" "$bytes"
        differs=1
    fi
done

if $write; then
    mkdir -p "$wasm"
    for name in "${names[@]}"; do
        cp "$target/$triple/release/$name.wasm" "$wasm/$name.wasm"
    done
    chmod 644 "$wasm"/*.wasm
    (cd "$wasm" && sha256sum -- *.wasm >SHA256SUMS)
    printf '%s\n' "$versions" >"$wasm/VERSIONS"
    echo "written: the wasm files, SHA256SUMS and VERSIONS"
elif [ $differs = 1 ]; then
    if [ "$versions" = "$(cat "$wasm/VERSIONS")" ]; then
        echo "The compiler is the one of the committed files, so the sources have changed since; --write puts the new files in place." >&2
    else
        printf 'The committed files were made by another compiler or in another way:\n%s\nand these by:\n%s\n' \
            "$(sed 's/^/  /' "$wasm/VERSIONS")" "$(printf '%s' "$versions" | sed 's/^/  /')" >&2
    fi
    exit 1
fi
