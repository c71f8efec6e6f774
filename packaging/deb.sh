#!/bin/sh
# Builds OUT/podd_VERSION_ARCH.deb: deb.sh ARCH PROGRAMS PAGES OUT, instead of any
# other for that architecture. The same commit, built by the same tools, gives the
# same file. The directories are seen from the repository's.
set -eu
umask 022
arch=$1 programs=$2 pages=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
VERSION=$("$here/version.sh" "$(go version -m "$programs/podd" | awk '$1 == "mod" { print $3 }')")
export SOURCE_DATE_EPOCH VERSION ARCH="$arch"

work=$out/$arch
rm -rf "$work" "$out"/podd_*_"$arch".deb
mkdir -p "$work"
DESTDIR=$work/root PREFIX=/usr "$here/install.sh" "$programs" "$pages"
doc=$work/root/usr/share/doc/podd
rm "$doc/LICENSE" # Debian has the text; copyright refers to it
install -m 644 "$here/copyright" "$doc/copyright"
cat >"$doc/changelog" <<END
podd ($VERSION) unstable; urgency=medium

  * Built from commit $(git rev-parse HEAD).

 -- The podd maintainers <maintainers@podd.io>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
install -D -m 644 "$here/lintian-overrides" "$work/root/usr/share/lintian/overrides/podd"
gzip -9n "$doc/changelog" "$work"/root/usr/share/man/man*/*
find "$work/root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

for script in postinst prerm postrm; do
	install -m 755 "$here/$script" "$work/$script"
done
nfpm=$PWD/bin/tools/nfpm
(cd "$work" && "$nfpm" package -f "$here/nfpm.yaml" -p deb -t "..")
rm -rf "$work"
