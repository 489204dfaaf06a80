#!/usr/bin/env bash
# Builds the control plane of the tests and the demo from Go modules and prints
# the folder that holds it, for KUBEBUILDER_ASSETS:
#
#   hack/envtest/build.sh                            etcd, kube-apiserver, kubectl
#   hack/envtest/build.sh kube-proxy                 these, and kube-proxy
#   hack/envtest/build.sh coredns prometheus         these, and readers of the slices
#
# An existing binary is not built again, so a second run takes no time and no network. stdout
# carries only the folder; progress goes to stderr.
#
# ENVTEST_DOWNLOAD=1 tries the prebuilt archive that setup-envtest knows first.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

say() { echo "envtest: $*" >&2; }

command -v go >/dev/null || {
	say "Go is missing: install any version from 1.21 on (https://go.dev/dl), which fetches the one that is asked for"
	exit 1
}

# Only go.mod has the version. awk rather than `go list -m`, which would load the module graph,
# for which it may need the network.
version_in_go_mod() { # FOLDER MODULE
	awk -v module="$2" '$1 == module && $2 ~ /^v/ { print substr($2, 2); exit }' "$1/go.mod"
}
version=$(version_in_go_mod "$here" k8s.io/kubernetes)
[[ $version =~ ^([0-9]+)\.([0-9]+)\.[0-9]+$ ]] || {
	say "no version of k8s.io/kubernetes in $here/go.mod"
	exit 1
}
major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}

# These run on this machine, whatever GOOS and GOARCH the caller is building for.
read -r -d '' os arch < <(go env GOHOSTOS GOHOSTARCH) || true
export GOOS=$os GOARCH=$arch CGO_ENABLED=0 GOWORK=off

assets=$root/bin/k8s/$version-$os-$arch

# Set as in a release build, so that the API server and kubectl know their version. The module
# proxy does not provide the commit.
ldflags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	ldflags+=" -X $package.gitVersion=v$version"
	ldflags+=" -X $package.gitMajor=$major -X $package.gitMinor=$minor"
	ldflags+=" -X $package.gitTreeState=archive -X $package.gitCommit=unknown"
done

package_of() {
	case $1 in
	coredns) echo ./coredns ;;
	etcd) echo go.etcd.io/etcd/server/v3 ;;
	prometheus | promtool) echo "github.com/prometheus/prometheus/cmd/$1" ;;
	promql) echo ./promql ;;
	kube-apiserver | kube-controller-manager | kube-proxy | kubectl) echo "k8s.io/kubernetes/cmd/$1" ;;
	*)
		say "cannot build $1: add it to the tools of hack/envtest/go.mod and to package_of"
		return 1
		;;
	esac
}

# The module that knows the package.
folder_of() {
	case $1 in
	coredns | prometheus | promtool | promql) echo "$here/readers" ;;
	*) echo "$here" ;;
	esac
}

# Only Kubernetes discovery: with the others, Prometheus includes the clients of some twenty
# clouds.
tags_of() {
	case $1 in
	prometheus | promtool) echo remove_all_sd,enable_kubernetes_sd ;;
	esac
}

version_of() {
	case $1 in
	coredns) version_in_go_mod "$here/readers" github.com/coredns/coredns ;;
	etcd) version_in_go_mod "$here" go.etcd.io/etcd/server/v3 ;;
	prometheus | promtool | promql) version_in_go_mod "$here/readers" github.com/prometheus/prometheus ;;
	*) echo "$version" ;;
	esac
}

# For the progress lines: measured on two cores with an empty build cache.
time_of() {
	case $1 in
	kube-apiserver) echo "about 4 minutes" ;;
	prometheus) echo "about 2 minutes" ;;
	*) echo "about a minute" ;;
	esac
}

missing() {
	local name
	for name in "${names[@]}"; do
		[[ -x $assets/$name ]] || echo "$name"
	done
}

# Archives exist only for some patch releases, so any patch of the minor will do. setup-envtest
# leaves the folder read-only, which would keep build out of it.
download() {
	say "fetching the archive of Kubernetes $major.$minor through setup-envtest"
	local folder
	folder=$(cd "$root" && go tool -modfile=hack/tools/go.mod setup-envtest \
		use "$major.$minor.x" --os "$os" --arch "$arch" --bin-dir "$root/bin" -p path) || return 1
	chmod u+w "$folder"
	assets=$folder
}

# build leaves $1 in the folder in one step: an interrupted run never leaves half
# a binary there, and two runs at once never write to one file. The go command's
# line for each module that it downloads is noise.
build() {
	local name=$1 package folder tags part=$assets/.$1.$$
	# Expanded now: when the trap runs, the locals are gone.
	# shellcheck disable=SC2064
	trap "rm -f '$part'" EXIT
	package=$(package_of "$name")
	folder=$(folder_of "$name")
	tags=$(tags_of "$name")
	say "building $name v$(version_of "$name") from Go modules: $(time_of "$name") the first time"
	(cd "$folder" && go build -mod=readonly -trimpath -tags "$tags" -ldflags "$ldflags" -o "$part" "$package" \
		2> >(grep -v '^go: downloading' >&2))
	mv -f "$part" "$assets/$name"
}

names=(etcd kube-apiserver kubectl "$@")
for name in "${names[@]}"; do
	package_of "$name" >/dev/null
done

if [[ -n $(missing) ]]; then
	mkdir -p "$root/bin/k8s"
	# One run builds, others wait for it. Without flock (macOS) they would do the
	# same work twice.
	if command -v flock >/dev/null; then
		exec 9>"$root/bin/k8s/.lock"
		flock -n 9 || {
			say "waiting for another run that is building"
			flock 9
		}
	fi
	if [[ ${ENVTEST_DOWNLOAD:-} == 1 ]]; then
		download || say "no archive to be had, building instead"
	fi
	mkdir -p "$assets" # not before: setup-envtest takes an empty folder for an installed one
	for name in $(missing); do
		build "$name"
	done
fi

echo "$assets"
