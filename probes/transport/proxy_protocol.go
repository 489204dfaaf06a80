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
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// ProxyProtocol is the header that a probe sends before anything else: the source and destination
// of the connection, as load balancers send them for the connections that they forward
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt). Servers behind such a load
// balancer refuse connections without it.
//
// The header has the command PROXY and the real addresses of the operator and the endpoint. For
// connections that a load balancer makes for itself, the protocol has LOCAL in version 2, which
// HAProxy's own checks send, and UNKNOWN in version 1. All of them mean the same to a server. But
// PROXY is what it gets for its clients' connections, and so what a check should test, and the
// specification advises against UNKNOWN, which some servers refuse.
type ProxyProtocol uint8

const (
	// NoProxyProtocol sends no header.
	NoProxyProtocol ProxyProtocol = iota
	// ProxyProtocolV1 sends the text header.
	ProxyProtocolV1
	// ProxyProtocolV2 sends the binary header.
	ProxyProtocolV2
)

// writeHeader writes the header on an established connection.
func (v ProxyProtocol) writeHeader(conn Stream) error {
	if v == NoProxyProtocol {
		return nil
	}
	header := v.Header(addrPortOf(conn.LocalAddr()), addrPortOf(conn.RemoteAddr()))
	// It is a segment of its own, which servers count on, and what follows must not wait
	// until it has been acknowledged.
	if err := conn.SetNoDelay(true); err != nil {
		return err
	}
	_, err := conn.Write(header)
	return err
}

func addrPortOf(addr net.Addr) netip.AddrPort {
	at := addr.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Header is the description of a connection. Both addresses are of the same family.
func (v ProxyProtocol) Header(from, to netip.AddrPort) []byte {
	if v == ProxyProtocolV1 {
		family := "TCP4"
		if to.Addr().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
	}
	const signature, versionAndCommand = "\r\n\r\n\x00\r\nQUIT\n", 0x21
	family := byte(0x11) // TCP over IPv4
	if to.Addr().Is6() {
		family = 0x21
	}
	addresses := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	header := append([]byte(signature), versionAndCommand, family)
	header = binary.BigEndian.AppendUint16(header, uint16(len(addresses)+4))
	header = append(header, addresses...)
	header = binary.BigEndian.AppendUint16(header, from.Port())
	return binary.BigEndian.AppendUint16(header, to.Port())
}
