#!/bin/sh
# Prints the Debian version of a version of Go's: of a tag, or of a commit after
# one (https://go.dev/ref/mod#pseudo-versions). They sort in the same order.
#
#     v1.2.3                               1.2.3
#     v1.2.4-rc.1                          1.2.4~rc.1
#     v1.2.4-0.20261128045817-30e66c1abcde 1.2.4~0.20261128045817.30e66c1abcde
#     v1.2.3+dirty                         1.2.3+dirty
#     (devel)                              0.0.0~devel
#
# The last is what Go's linker knows of a work tree (`git worktree`) or an archive.
set -eu
[ "$1" != '(devel)' ] || set -- v0.0.0-devel
case $1 in
v[0-9]*) echo "$1" | sed -e 's/^v//' -e 's/-/~/' -e 's/-/./g' ;;
*)
	echo "$1 is no version" >&2
	exit 1
	;;
esac
