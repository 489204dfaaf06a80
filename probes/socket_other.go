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
	"net"
	"net/netip"
	"time"
)

// socket is a TCP connection.
type socket struct {
	*net.TCPConn
	to       netip.AddrPort
	deadline time.Time
}

// openSocket returns a socket that is not connected yet.
func openSocket(to netip.AddrPort) (*socket, error) { return &socket{to: to}, nil }

// SetDeadline implements net.Conn, before there is a connection too.
func (s *socket) SetDeadline(t time.Time) error {
	if s.TCPConn != nil {
		return s.TCPConn.SetDeadline(t)
	}
	s.deadline = t
	return nil
}

// connect waits until the connection stands, within the socket's deadline.
func (s *socket) connect() error {
	dialer := net.Dialer{KeepAlive: -1, Deadline: s.deadline}
	conn, err := dialer.Dial("tcp", s.to.String())
	if err != nil {
		return err
	}
	s.TCPConn = conn.(*net.TCPConn)
	return s.TCPConn.SetDeadline(s.deadline)
}

// Close implements net.Conn, before there is a connection too.
func (s *socket) Close() error {
	if s.TCPConn == nil {
		return nil
	}
	return s.TCPConn.Close()
}
