/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// programs are those that tests start, by their names: the Debian package that has each,
// and the pattern of its path there. Not all of them are on a user's PATH.
var programs = map[string]struct{ debianPackage, pattern string }{
	"dnsmasq":                 {"dnsmasq-base", "/usr/sbin/dnsmasq"},
	"ip":                      {"iproute2", "/usr/sbin/ip"},
	"libgalera_smm.so":        {"galera-4", "/usr/lib/galera/libgalera_smm.so"},
	"mariadb-install-db":      {"mariadb-server", "/usr/bin/mariadb-install-db"},
	"mariadbd":                {"mariadb-server", "/usr/sbin/mariadbd"},
	"nft":                     {"nftables", "/usr/sbin/nft"},
	"nginx":                   {"nginx", "/usr/sbin/nginx"},
	"pgbouncer":               {"pgbouncer", "/usr/sbin/pgbouncer"},
	"postgres":                {"postgresql", "/usr/lib/postgresql/*/bin/postgres"},
	"prometheus-alertmanager": {"prometheus-alertmanager", "/usr/bin/prometheus-alertmanager"},
	"redis-server":            {"redis-server", "/usr/bin/redis-server"},
	"rsync":                   {"rsync", "/usr/bin/rsync"},
}

// Program finds a program that a Debian package installs. Where it is missing, the test is
// skipped, but not in CI.
func Program(t TB, name string) string {
	t.Helper()
	if path := find(name); path != "" {
		return path
	}
	advice := fmt.Sprintf("%s is not there: install the Debian package %s", name, programs[name].debianPackage)
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s", advice)
	}
	t.Skipf("%s to have this tested", advice)
	return ""
}

// find is the path of a program; empty if it is not there.
func find(name string) string {
	paths, _ := filepath.Glob(programs[name].pattern) // its only error is a bad pattern
	if len(paths) == 0 {
		return ""
	}
	return slices.Max(paths) // of several versions one of the later ones
}

// MissingPackages are the Debian packages whose absence makes tests skip.
func MissingPackages() []string {
	var packages []string
	for name := range programs {
		if find(name) == "" {
			packages = append(packages, programs[name].debianPackage)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}
