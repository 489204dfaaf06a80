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

package resolver

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"farpoint.dev/farpoint/probes/egress"
)

// hostsPath is where every system has its hosts(5); in a Pod the kubelet writes it.
const hostsPath = "/etc/hosts"

// hostsFile is a file like hosts(5), which is read again when it has changed.
type hostsFile struct {
	path string

	// mu guards what follows; the file, which is a small local one, is read while holding it,
	// so that it is read once.
	mu    sync.Mutex
	read  os.FileInfo
	names map[string][]netip.Addr
}

// lookup returns the addresses of a name, which is in lower case and without a final dot. If the
// file cannot be read, its last content counts.
func (f *hostsFile) lookup(name string) []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && !sameFile(info, f.read) {
		if text, err := os.ReadFile(f.path); err == nil {
			f.names, f.read = parseHosts(text), info
		}
	}
	return f.names[name]
}

// sameFile reports whether a file is the one that was read, and has not changed since.
func sameFile(info, read os.FileInfo) bool {
	return read != nil && os.SameFile(info, read) && info.ModTime().Equal(read.ModTime()) && info.Size() == read.Size()
}

// parseHosts reads lines of an address and its names, up to a #.
func parseHosts(text []byte) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		words := strings.Fields(string(line))
		if len(words) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			if name = egress.PlainName(name); !slices.Contains(names[name], addr) {
				names[name] = append(names[name], addr)
			}
		}
	}
	return names
}

// isLocalhost reports whether a name is reserved for the loopback (RFC 6761, 6.3).
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
