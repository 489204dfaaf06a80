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
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// socket is a TCP connection made with the system calls that a probe needs. net.Dialer
// makes six more, for options and addresses that nobody looks at, and binds the local
// port ahead of the connection, which uses ports up much faster.
type socket struct {
	*os.File // waits in the runtime's poller, as connections of net do
	to       netip.AddrPort
}

// openSocket returns a socket that is not connected yet.
func openSocket(_ context.Context, to netip.AddrPort) (*socket, error) {
	fd, err := newSocket(to)
	if err != nil {
		return nil, err
	}
	return socketOf(fd, to), nil
}

// newSocket returns the descriptor of a socket that blocks nobody.
func newSocket(to netip.AddrPort) (int, error) {
	family := syscall.AF_INET
	if to.Addr().Is6() {
		family = syscall.AF_INET6
	}
	return syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
}

func socketOf(fd int, to netip.AddrPort) *socket {
	return &socket{os.NewFile(uintptr(fd), "probe"), to}
}

// connect waits until the connection stands, within the socket's deadline.
func (s *socket) connect() error {
	conn, err := s.SyscallConn()
	if err != nil {
		return err
	}
	address := sockaddr(s.to)
	var failed error
	// The call is repeated whenever the socket seems writable: the kernel then says
	// how far it is, or what went wrong.
	err = conn.Write(func(fd uintptr) (done bool) {
		failed = syscall.Connect(int(fd), address)
		if errors.Is(failed, syscall.EISCONN) {
			failed = nil
		}
		return !errors.Is(failed, syscall.EINPROGRESS) && !errors.Is(failed, syscall.EALREADY)
	})
	if err != nil {
		return err
	}
	return failed
}

func sockaddr(to netip.AddrPort) syscall.Sockaddr {
	if to.Addr().Is4() {
		return &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// CloseWrite is that of net.TCPConn.
func (s *socket) CloseWrite() error {
	return s.control(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) })
}

// SetNoDelay is that of net.TCPConn, whose connections begin with true, though.
func (s *socket) SetNoDelay(noDelay bool) error {
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
func (s *socket) SetKeepAliveConfig(config net.KeepAliveConfig) error {
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

func (s *socket) control(set func(fd int) error) error {
	conn, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = set(int(fd)) })
	return errors.Join(err, failed)
}

// LocalAddr implements net.Conn. It is zero if there is none.
func (s *socket) LocalAddr() net.Addr {
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
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.to) }
