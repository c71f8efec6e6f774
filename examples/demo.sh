#!/usr/bin/env bash
# make demo: a private podd with its own containerd under a temporary root runs
# examples/guestbook.yaml. Nothing is left behind, unless KEEP=1.
set -euo pipefail
cd "$(dirname "$0")/.."
state=bin/demo.env

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

# free_port prints a TCP port that nobody listens on, the wanted one if it can.
free_port() {
	local p
	for p in "$1" $(shuf -i 20000-29999 -n 50); do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then echo "$p"; return; fi
	done
	echo "no free port found" >&2; return 1
}

start_podd() {
	root=$(mktemp -d /tmp/podd-demo.XXXX)
	metrics=127.0.0.1:$(free_port 19471)
	web=$(free_port 8080)
	bin/podd --root "$root/lib" --run-dir "$root/run" --listen "unix://$root/podd.sock" \
		--log-dir "$root/log" --manifests "$root/manifests" --metrics-listen "$metrics" \
		--containerd managed --containerd-namespace podd-demo --cgroup-root "/podd-demo-$$" \
		--pod-cidr 10.213.0.0/24 --cni-conf-dir "$root/cni" >"$root/podd.log" 2>&1 &
	podd=$!
	export PODD_ADDRESS=unix://$root/podd.sock
	local i
	for i in $(seq 100); do
		bin/podctl version >/dev/null 2>&1 && return
		kill -0 $podd 2>/dev/null || break
		sleep 0.2
	done
	echo "podd did not start:" >&2; tail -20 "$root/podd.log" >&2; return 1
}

make_images() {
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$root/images/" ./examples/guestbook/web ./examples/guestbook/store
	local mk="go run ./examples/mkimage"
	$mk -o "$root/images/busybox.tar" -name podd.io/examples/busybox:1 -busybox "$(command -v busybox)"
	$mk -o "$root/images/web.tar" -name podd.io/examples/guestbook-web:1 -program "$root/images/web"
	$mk -o "$root/images/store.tar" -name podd.io/examples/guestbook-store:1 -program "$root/images/store"
}

# stop_podd removes the pods, then podd, then its files, and checks that
# nothing is left.
stop_podd() {
	bin/podctl delete pods --all -A --timeout 60s >/dev/null || true
	kill "$podd" 2>/dev/null || true
	for _ in $(seq 100); do kill -0 "$podd" 2>/dev/null || break; sleep 0.1; done
	if kill -0 "$podd" 2>/dev/null; then echo "podd ($podd) did not stop" >&2; return 1; fi
	local left
	left=$(grep -c "$root" /proc/mounts || true)
	if [ "$left" != 0 ]; then echo "$left mounts are left below $root:" >&2; grep "$root" /proc/mounts >&2; return 1; fi
	rm -rf "$root" "$state"
	find /sys/fs/cgroup -maxdepth 2 -name 'podd-demo-*' | grep . && { echo "these cgroups are left" >&2; return 1; }
	return 0
}

if [ "${1:-}" = stop ]; then
	[ -f $state ] || { echo "no demo is kept"; exit 0; }
	. ./$state
	export PODD_ADDRESS
	stop_podd
	echo "the demo is gone"
	exit 0
fi
[ ! -f $state ] || { echo "a demo is kept already: make demo-stop ends it" >&2; exit 1; }

say "podd and a containerd of its own, under a temporary root"
start_podd
finish() { code=$?; if [ "$code" != 0 ]; then echo "--- podd's log:"; tail -30 "$root/podd.log"; fi; stop_podd; exit $code; }
trap finish EXIT
show bin/podctl version

say "images, built here: no registry is needed"
mkdir -p "$root/images"
make_images
for i in busybox web store; do show bin/podctl images import "$root/images/$i.tar"; done

say "the guestbook: two containers, an init container, ConfigMap, Secret, probes, limits, a host port"
sed "s/hostPort: 8080/hostPort: $web/" examples/guestbook.yaml >"$root/guestbook.yaml"
show bin/podctl apply -f "$root/guestbook.yaml"
show bin/podctl wait --for=condition=Ready pod/guestbook --timeout 60s
show bin/podctl get pods -o wide

say "through the host port"
show curl -sS -o /dev/null -w 'signed: HTTP %{http_code}\n' -d entry="hello from $(uname -n)" "http://127.0.0.1:$web/"
show curl -sS "http://127.0.0.1:$web/"

say "logs, events, metrics"
show bin/podctl logs guestbook -c prepare
show bin/podctl logs guestbook -c store --timestamps
show bin/podctl get events
curl -sS "http://$metrics/metrics" | grep -E '^podd_(build_info|pods|action_duration_seconds_count)' | head -16

if [ "${KEEP:-}" = 1 ]; then
	trap - EXIT
	printf 'root=%q\npodd=%q\nPODD_ADDRESS=%q\n' "$root" "$podd" "$PODD_ADDRESS" >$state
	disown "$podd"
	say "kept"
	cat <<-EOT
		the page:   http://127.0.0.1:$web/
		go on with: export PODD_ADDRESS=$PODD_ADDRESS; bin/podctl get pods
		podd's log: $root/podd.log
		end it:     make demo-stop
	EOT
	exit 0
fi
say "and gone"
trap - EXIT
stop_podd
echo "no process, mount, cgroup or file of the demo is left"
