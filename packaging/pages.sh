#!/bin/sh
# Makes what is installed beside the programs into the directory given, from the
# programs themselves: manual pages, completions, the default configuration. It is
# seen from the repository's directory.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/$1
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
rm -rf "$out"
mkdir -p "$out/man" "$out/bash" "$out/zsh" "$out/fish"
go test -tags grpcnotrace -count=1 ./cmd/podd ./cmd/podctl -run '^TestManPages$' -man "$out/man" >"$out/log" || { cat "$out/log"; exit 1; }
rm "$out/log"
for program in podd podctl; do
	"bin/$program" completion bash >"$out/bash/$program"
	"bin/$program" completion zsh >"$out/zsh/_$program"
	"bin/$program" completion fish >"$out/fish/$program.fish"
done
bin/podd config default --commented-out >"$out/config.yaml"
