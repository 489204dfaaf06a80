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
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dnsmasq is a name server for the zone "example".
type Dnsmasq struct {
	*Server
	hosts string
}

// NewDnsmasq prepares a name server whose records have this TTL in seconds. The options
// are those of its command line, such as --cname and --srv-host.
func NewDnsmasq(t TB, ttl int, options ...string) *Dnsmasq {
	t.Helper()
	s := newServer(t, Program(t, "dnsmasq"), syscall.SIGTERM)
	d := &Dnsmasq{Server: s, hosts: filepath.Join(s.folder, "hosts")}
	s.args = append([]string{
		"--no-daemon", // nor children for TCP, which would hold the port
		"--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts", "--addn-hosts=" + d.hosts,
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=" + strconv.Itoa(int(s.address.Port())),
		"--local=/example/", "--local-ttl=" + strconv.Itoa(ttl),
	}, options...)
	d.write("hosts", "")
	return d
}

// Hold makes these all the addresses of the zone, as in "192.0.2.1 db.example".
func (d *Dnsmasq) Hold(lines ...string) {
	d.t.Helper()
	d.write("hosts", strings.Join(lines, "\n")+"\n")
	if d.command == nil {
		return
	}
	select {
	case <-d.ended:
		return
	default:
	}
	read := func() int { return strings.Count(d.Log(), "read "+d.hosts) }
	before, deadline := read(), time.Now().Add(patience)
	for d.signal(syscall.SIGHUP); read() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("dnsmasq does not read its file:\n%s", d.Log())
		}
	}
}

// Addresses are lines for so many addresses of a name.
func Addresses(name string, count int) []string {
	lines := make([]string, count)
	for i := range lines {
		lines[i] = fmt.Sprintf("198.51.%d.%d %s", 100+i/250, 1+i%250, name)
	}
	return lines
}
