#!/bin/sh
# Installs podd: install.sh PROGRAMS PAGES, with what `make build bundle` made in
# PROGRAMS and pages.sh in PAGES. Everything goes below $DESTDIR$PREFIX but the
# configuration, which podd reads from /etc/podd wherever it is installed; a
# configuration that is there stays.
set -eu
umask 022
programs=$1 pages=$2
prefix=${PREFIX:-/usr/local} root=${DESTDIR:-}
to=$root$prefix
here=$(dirname "$0")

install -d "$to/bin" "$to/lib/podd/bundle" "$to/share/man/man1" "$to/share/man/man8" "$to/share/doc/podd/docs"
install -m 755 "$programs/podd" "$programs/podctl" "$to/bin/"
install -m 755 "$programs"/bundle/[a-z]* "$to/lib/podd/bundle/"

# Units, and what systemd is told of a group and of directories.
(cd "$here/../systemd/lib" && find . -type f) | while read -r file; do
	install -D -m 644 "$here/../systemd/lib/$file" "$to/lib/$file"
done
sed -i "s|/usr/bin/podd|$prefix/bin/podd|" "$to/lib/systemd/system/podd.service"

install -m 644 "$pages"/man/*.1 "$to/share/man/man1/"
install -m 644 "$pages"/man/*.8 "$to/share/man/man8/"
# /usr/share/zsh is the distribution's: packages are to use what Debian names for them.
zsh=site-functions
[ "$prefix" != /usr ] || zsh=vendor-completions
for program in podd podctl; do
	install -D -m 644 "$pages/bash/$program" "$to/share/bash-completion/completions/$program"
	install -D -m 644 "$pages/zsh/_$program" "$to/share/zsh/$zsh/_$program"
	install -D -m 644 "$pages/fish/$program.fish" "$to/share/fish/vendor_completions.d/$program.fish"
done
install -m 644 "$here/../README.md" "$here/../LICENSE" "$to/share/doc/podd/"
install -m 644 "$here"/../docs/*.md "$to/share/doc/podd/docs/"

install -d "$root/etc/podd"
install -d -m 700 "$root/etc/podd/manifests"
[ -e "$root/etc/podd/config.yaml" ] || install -m 644 "$pages/config.yaml" "$root/etc/podd/config.yaml"
