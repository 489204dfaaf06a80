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
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Socket is a connection made with only the system calls that a probe needs. net.Dialer makes six
// more, for options and addresses that probes do not use, and binds the local port before it
// connects, which uses up ports much faster. Errors of a Socket say which host caused them, see
// attribute.
type Socket struct {
	*os.File // waits in the runtime's poller, as connections of net do
	to       netip.AddrPort
	// datagrams: the socket is one of UDP or ICMP, not of TCP.
	datagrams bool
}

// OpenSocket returns a TCP socket that is not connected yet.
func OpenSocket(_ context.Context, to netip.AddrPort) (*Socket, error) {
	fd, err := NewSocket(to)
	if err != nil {
		return nil, err
	}
	return Of(fd, to), nil
}

// NewSocket returns the descriptor of a non-blocking TCP socket.
func NewSocket(to netip.AddrPort) (int, error) { return newSocketOf(to, syscall.SOCK_STREAM, 0) }

// newSocketOf returns the descriptor of a non-blocking socket that keeps the errors that routers
// send.
func newSocketOf(to netip.AddrPort, kind, protocol int) (int, error) {
	family, v6 := syscall.AF_INET, isIPv6(to)
	if v6 {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return 0, err
	}
	if err := keepErrors(fd, v6); err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

// Of returns the socket of a file descriptor that is connected, or connecting, to an address.
func Of(fd int, to netip.AddrPort) *Socket {
	return &Socket{File: os.NewFile(uintptr(fd), "probe"), to: to}
}

// OpenDatagrams returns a UDP socket that receives datagrams from one address only.
func OpenDatagrams(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	return NewDatagrams(to, syscall.IPPROTO_UDP)
}

// NewDatagrams returns a socket of UDP, or of ICMP's echo requests, that receives datagrams from
// one address only, and fails if that is unreachable.
func NewDatagrams(to netip.AddrPort, protocol int) (*Socket, error) {
	fd, err := newSocketOf(to, syscall.SOCK_DGRAM, protocol)
	if err != nil {
		return nil, err
	}
	if err := BeginConnect(fd, to); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	conn := Of(fd, to)
	conn.datagrams = true
	return conn, nil
}

// BeginConnect calls connect(). This host causes its errors: nothing has been sent yet.
func BeginConnect(fd int, to netip.AddrPort) error {
	err := syscall.Connect(fd, sockaddr(to))
	var errno syscall.Errno
	if err == nil || errors.Is(err, syscall.EINPROGRESS) || !errors.As(err, &errno) {
		return nil
	}
	return &Error{errno, true}
}

// ConnectError returns why a TCP connection in progress has failed, or is about to; nil otherwise.
// If a message from a router arrives before connect() has returned, the kernel only notes the
// message and goes on, although it gives up the connection if the message arrives a little later.
// The message counts in either case, so that the result does not depend on how near the router
// is.
func ConnectError(fd int, to netip.AddrPort) error {
	failed, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	switch {
	case err != nil:
		return err
	case failed == 0:
		return nil
	}
	return attributed(fd, true, to.Addr(), syscall.Errno(failed))
}

// Connect waits until the connection is established, until the socket's deadline at most.
func (s *Socket) Connect() error {
	conn, err := s.SyscallConn()
	if err != nil {
		return err
	}
	started := false
	var failed error
	// The call is repeated whenever something happens to the socket: the kernel then says how
	// far it is, or what went wrong.
	err = conn.Write(func(fd uintptr) (done bool) {
		if !started {
			started = true
			failed = BeginConnect(int(fd), s.to)
			return failed != nil
		}
		done, failed = s.continueConnect(int(fd))
		return done
	})
	if err != nil {
		return err
	}
	return failed
}

// continueConnect reports whether the connection is established or has failed.
func (s *Socket) continueConnect(fd int) (done bool, err error) {
	err = syscall.Connect(fd, sockaddr(s.to))
	switch {
	case err == nil, errors.Is(err, syscall.EISCONN):
		return true, nil
	case errors.Is(err, syscall.EALREADY), errors.Is(err, syscall.EINPROGRESS):
		err = ConnectError(fd, s.to)
		return err != nil, err
	}
	return true, AttributeError(fd, true, s.to.Addr(), err)
}

// Read implements net.Conn.
func (s *Socket) Read(b []byte) (int, error) {
	n, err := s.File.Read(b)
	if s.datagrams && errors.Is(err, io.EOF) {
		return n, nil // an empty datagram, which ends nothing
	}
	return n, s.explain(err)
}

// Write implements net.Conn.
func (s *Socket) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	return n, s.explain(err)
}

func (s *Socket) explain(err error) error {
	var errno syscall.Errno
	if err == nil || !errors.As(err, &errno) {
		return err
	}
	_ = s.control(func(fd int) error {
		err = AttributeError(fd, !s.datagrams, s.to.Addr(), err)
		return nil
	})
	return err
}

func isIPv6(to netip.AddrPort) bool { return to.Addr().Is6() && !to.Addr().Is4In6() }

// sockaddr is the address in the kernel's form. An IPv4 address mapped into IPv6 is the IPv4
// address.
func sockaddr(to netip.AddrPort) syscall.Sockaddr {
	if !isIPv6(to) {
		return &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}
	}
	return &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: zoneIndex(to.Addr().Zone())}
}

// zoneIndex is the index of the network interface that a link-local address belongs to: name
// servers may have such addresses.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if device, err := net.InterfaceByName(zone); err == nil {
		return uint32(device.Index)
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(index)
}

// CloseWrite is that of net.TCPConn.
func (s *Socket) CloseWrite() error {
	return s.control(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) })
}

// SetNoDelay is that of net.TCPConn, whose connections begin with true, though.
func (s *Socket) SetNoDelay(noDelay bool) error {
	value := 0
	if noDelay {
		value = 1
	}
	return s.control(func(fd int) error {
		return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, value)
	})
}

// SetKeepAliveConfig is that of net.TCPConn, with all values in whole seconds and none left
// out.
func (s *Socket) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	on := 0
	if config.Enable {
		on = 1
	}
	return s.control(func(fd int) error {
		return errors.Join(
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(config.Idle/time.Second)),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(config.Interval/time.Second)),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, config.Count),
			syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, on),
		)
	})
}

func (s *Socket) control(set func(fd int) error) error {
	conn, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = set(int(fd)) })
	return errors.Join(err, failed)
}

// LocalAddr implements net.Conn. It is zero if there is none.
func (s *Socket) LocalAddr() net.Addr {
	var local netip.AddrPort
	_ = s.control(func(fd int) error {
		address, err := syscall.Getsockname(fd)
		switch at := address.(type) {
		case *syscall.SockaddrInet4:
			local = netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))
		case *syscall.SockaddrInet6:
			local = netip.AddrPortFrom(netip.AddrFrom16(at.Addr), uint16(at.Port))
		}
		return err
	})
	return net.TCPAddrFromAddrPort(local)
}

// RemoteAddr implements net.Conn.
func (s *Socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.to) }
