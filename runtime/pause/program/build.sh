#!/bin/sh
# Builds the pause program for every architecture, and writes down with what.
#
#   build.sh [DIR]   DIR gets pause-amd64, pause-arm64 and COMPILERS; by default
#                    it is the directory of this script, where they are committed.
#
# Needs gcc for both architectures; on Debian: gcc and gcc-aarch64-linux-gnu.
# With the compilers named in the committed COMPILERS, the result is the same
# byte for byte.
set -eu
export LC_ALL=C
src=$(cd "$(dirname "$0")" && pwd)
out=${1:-$src}

# No PIE, no notes, no unwind tables, no stack protector: one small segment of
# code. The page size stays each linker's own (arm64 kernels may use 64 KiB).
flags="-std=c11 -Os -Wall -Wextra -Werror -ffreestanding -nostdlib -static -no-pie -fno-pie
 -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident
 -fno-builtin -mgeneral-regs-only
 -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,--gc-sections -Wl,-s"

build() { # GOARCH TRIPLET [FLAG...]
	arch=$1 cc=$2-gcc ld=$2-ld
	shift 2
	# shellcheck disable=SC2086
	"$cc" $flags "$@" -o "$out/pause-$arch" "$src/pause.c"
	echo "$arch: $("$cc" --version | head -n1); $("$ld" --version | head -n1)"
}

{
	build amd64 x86_64-linux-gnu -fcf-protection=none
	build arm64 aarch64-linux-gnu -mbranch-protection=none
} >"$out/COMPILERS.new"
mv "$out/COMPILERS.new" "$out/COMPILERS"
