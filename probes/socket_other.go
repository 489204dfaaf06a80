//go:build !linux

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
	"context"
	"net"
	"net/netip"
)

// socket is a TCP connection.
type socket struct{ *net.TCPConn }

// openSocket returns a socket, which is connected already.
func openSocket(ctx context.Context, to netip.AddrPort) (*socket, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return &socket{conn.(*net.TCPConn)}, nil
}

func (s *socket) connect() error { return nil }

// openDatagrams returns a UDP socket that takes datagrams from one place only.
func openDatagrams(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "udp", to.String())
}
