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
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queuedError is an entry of a socket's error queue (ip(7), IP_RECVERR): the errno, and the
// message that it stands for.
type queuedError struct {
	errno syscall.Errno
	// origin is SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6 or SO_EE_ORIGIN_LOCAL.
	origin uint8
	// kind and code are those of the ICMP message.
	kind, code uint8
	// offender is the host that sent the message; invalid if the kernel does not know it.
	offender netip.Addr
}

// hostUnreachable reports whether the message is the one that a host sends, also to itself,
// when a neighbour does not answer: ICMP host unreachable (RFC 792), ICMPv6 address
// unreachable (RFC 4443, 3.1).
func (e queuedError) hostUnreachable() bool {
	switch e.origin {
	case unix.SO_EE_ORIGIN_ICMP:
		return e.kind == 3 && e.code == 1
	case unix.SO_EE_ORIGIN_ICMP6:
		return e.kind == 1 && e.code == 3
	}
	return false
}

// keepErrors makes the kernel keep the ICMP messages for a socket in its error queue.
//
// It also makes UDP and ICMP sockets fail at once when a router says that the endpoint cannot
// be reached, instead of waiting in silence, and established TCP connections, too. While a TCP
// connection is being made, such a message is fatal to Linux in any case. A passing fault of a
// router thus fails a probe, which is what failure thresholds are for.
//
// IPv4 sockets of TCP fill the queue without it in Linux 6.18, IPv6 ones do not, and the
// documentation promises neither.
func keepErrors(fd int, v6 bool) error {
	if v6 {
		return syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, unix.IP_RECVERR, 1)
}

// takeQueuedError takes the first entry out of a socket's error queue; ok is false if there is
// none. Taking it clears the socket's pending error (SO_ERROR) as well.
func takeQueuedError(fd int) (entry queuedError, ok bool) {
	var control [256]byte
	_, length, _, _, err := unix.RecvmsgBuffers(fd, nil, control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return queuedError{}, false
	}
	messages, err := unix.ParseSocketControlMessage(control[:length])
	if err != nil {
		return queuedError{}, false
	}
	for _, message := range messages {
		isError := message.Header.Level == unix.IPPROTO_IP && message.Header.Type == unix.IP_RECVERR ||
			message.Header.Level == unix.IPPROTO_IPV6 && message.Header.Type == unix.IPV6_RECVERR
		if isError && len(message.Data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})) {
			return readQueuedError(message.Data), true
		}
	}
	return queuedError{}, false
}

// readQueuedError reads a struct sock_extended_err and the address behind it
// (SO_EE_OFFENDER).
func readQueuedError(data []byte) queuedError {
	entry := queuedError{
		errno:  syscall.Errno(binary.NativeEndian.Uint32(data)),
		origin: data[4],
		kind:   data[5],
		code:   data[6],
	}
	offender := data[unsafe.Sizeof(unix.SockExtendedErr{}):]
	if len(offender) < 2 {
		return entry
	}
	switch family := binary.NativeEndian.Uint16(offender); {
	case family == unix.AF_INET && len(offender) >= unix.SizeofSockaddrInet4:
		entry.offender = netip.AddrFrom4([4]byte(offender[4:8]))
	case family == unix.AF_INET6 && len(offender) >= unix.SizeofSockaddrInet6:
		entry.offender = netip.AddrFrom16([16]byte(offender[8:24])).Unmap()
	}
	return entry
}
