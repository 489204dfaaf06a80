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

package socket

import (
	"context"
	"net"
	"net/netip"
)

// Socket is a TCP connection.
type Socket struct{ *net.TCPConn }

// OpenSocket returns a socket, which is connected already.
func OpenSocket(ctx context.Context, to netip.AddrPort) (*Socket, error) {
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return &Socket{conn.(*net.TCPConn)}, nil
}

// Connect does nothing.
func (s *Socket) Connect() error { return nil }

// OpenDatagrams returns a UDP socket that receives datagrams from one address only.
func OpenDatagrams(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "udp", to.String())
}
