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

package transport

import (
	"net"
	"net/netip"
	"strconv"

	"farpoint.dev/farpoint/probes"
)

// Destination is where a probe connects to. It is comparable.
type Destination struct {
	// DialName is empty when the host is an address.
	DialName string
	// Addr always holds the port, and the address unless there is a name.
	Addr netip.AddrPort
	// ServerName is the DNS name for the Host header and TLS if the probe connects to an address
	// that the name has been resolved to.
	ServerName string
	// Proxy is sent before everything else.
	Proxy ProxyProtocol
}

// Location is the destination without its port.
func (d Destination) Location() probes.Location {
	return probes.Location{Addr: d.Addr.Addr(), Name: d.DialName}
}

// Host returns the name or address for the Host header and TLS, without brackets.
func (d Destination) Host() string {
	if d.ServerName != "" {
		return d.ServerName
	}
	return d.dialHost()
}

// dialHost returns the name or address to connect to.
func (d Destination) dialHost() string {
	if d.DialName != "" {
		return d.DialName
	}
	return d.Addr.Addr().String()
}

// String is host:port, as in a URL.
func (d Destination) String() string { return d.withPort(d.Host()) }

func (d Destination) withPort(host string) string {
	return net.JoinHostPort(host, strconv.Itoa(int(d.Addr.Port())))
}
