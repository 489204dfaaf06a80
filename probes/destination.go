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

package probes

import (
	"net"
	"net/netip"
	"strconv"
)

// destination is where a probe connects. Two are equal if they are the same place.
type destination struct {
	// name is empty when the host is an address.
	name string
	// addr always holds the port, and the address unless there is a name.
	addr netip.AddrPort
	// called is the DNS name by which the place is spoken to, where that is another than
	// what is connected to: an address that somebody else has resolved the name to.
	called string
	// proxy is what is said ahead of everything else.
	proxy proxyProtocol
}

// place is the destination without its port.
func (d destination) place() place { return place{addr: d.addr.Addr(), name: d.name} }

// host is the name or the address by which the place is spoken to, without brackets.
func (d destination) host() string {
	if d.called != "" {
		return d.called
	}
	return d.connected()
}

// connected is the name or the address that is connected to.
func (d destination) connected() string {
	if d.name != "" {
		return d.name
	}
	return d.addr.Addr().String()
}

// String is host:port, as in a URL.
func (d destination) String() string { return d.withPort(d.host()) }

func (d destination) withPort(host string) string {
	return net.JoinHostPort(host, strconv.Itoa(int(d.addr.Port())))
}
