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

package localnet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NextHop is where packets for an address go first.
type NextHop struct {
	// OnLink: there is no router between, the next hop is the address itself.
	OnLink bool
	// Unresolved: the neighbour table knows the next hop, and no link-layer address of it,
	// since it does not answer (NUD_INCOMPLETE, NUD_FAILED).
	Unresolved bool
	// NoRoute: there is no route.
	NoRoute bool
}

// IsOwn asks the kernel whether an address is one of this host's, on any interface of the
// network namespace. A question costs a few microseconds: what a cache of addresses holds may
// be out of date just when the network changes.
func IsOwn(addr netip.Addr) bool {
	r, err := findRoute(addr)
	return err == nil && r.kind == unix.RTN_LOCAL
}

// FindNextHop asks the kernel where packets for an address go first. The zero NextHop is also
// the answer if the kernel gives none.
func FindNextHop(addr netip.Addr) NextHop {
	r, err := findRoute(addr)
	switch {
	case errors.Is(err, errNetlink):
		return NextHop{}
	case err != nil, r.kind != unix.RTN_UNICAST && r.kind != unix.RTN_LOCAL:
		return NextHop{NoRoute: true}
	}
	next := NextHop{OnLink: !r.gateway.IsValid()}
	neighbour := r.gateway
	if next.OnLink {
		neighbour = addr
	}
	next.Unresolved = isUnresolved(neighbour, r.device)
	return next
}

// route is the kernel's route to an address.
type route struct {
	// kind is RTN_UNICAST, RTN_LOCAL or another one.
	kind uint8
	// device is the index of the network interface.
	device uint32
	// gateway is the next hop; invalid if there is no router between.
	gateway netip.Addr
}

// findRoute returns the route to an address. Its error is the one that connect() would return,
// or errNetlink if the kernel did not answer.
func findRoute(addr netip.Addr) (route, error) {
	bytes := addr.AsSlice()
	request := unix.RtMsg{Family: familyOf(addr), Dst_len: uint8(8 * len(bytes))}
	header := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	answer, err := askNetlink(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header, unix.RTA_DST, bytes)
	if err != nil {
		return route{}, err
	}
	if len(answer) < unix.SizeofRtMsg {
		return route{}, errNetlink
	}
	r := route{kind: (*unix.RtMsg)(unsafe.Pointer(&answer[0])).Type}
	for kind, value := range attributes(answer[unix.SizeofRtMsg:]) {
		switch kind {
		case unix.RTA_OIF:
			if len(value) == 4 {
				r.device = binary.NativeEndian.Uint32(value)
			}
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(value)
		case unix.RTA_VIA: // a gateway of the other family (RFC 8950)
			if len(value) > 2 {
				r.gateway, _ = netip.AddrFromSlice(value[2:])
			}
		}
	}
	return r, nil
}

// isUnresolved reports whether the neighbour table has an entry for an address that does not
// answer. For a kernel that cannot look up single entries (before Linux 5.0) it returns true: an
// entry that does not answer is the usual cause of the errors that lead here.
func isUnresolved(addr netip.Addr, device uint32) bool {
	request := unix.NdMsg{Family: familyOf(addr), Ifindex: int32(device)}
	header := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	answer, err := askNetlink(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, header, unix.NDA_DST, addr.AsSlice())
	if err != nil {
		return !errors.Is(err, syscall.ENOENT)
	}
	if len(answer) < unix.SizeofNdMsg {
		return false
	}
	return (*unix.NdMsg)(unsafe.Pointer(&answer[0])).State&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0
}

func familyOf(addr netip.Addr) uint8 {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// errNetlink is the error of a question that the kernel did not answer.
var errNetlink = errors.New("no answer by netlink")

// askNetlink sends a message with one attribute to the kernel, and returns the body of its
// answer, which must be of the given kind. The error is the kernel's, or errNetlink. It does
// not block: the kernel answers before send returns.
func askNetlink(kind, answerKind uint16, header []byte, attribute uint16, value []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errNetlink
	}
	defer unix.Close(fd)
	length := unix.SizeofNlMsghdr + len(header) + unix.SizeofRtAttr + len(value)
	message := make([]byte, 0, length)
	message = binary.NativeEndian.AppendUint32(message, uint32(length))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, unix.NLM_F_REQUEST)
	message = append(message, make([]byte, 8)...) // sequence number and port: this socket has one request only
	message = append(message, header...)
	message = binary.NativeEndian.AppendUint16(message, uint16(unix.SizeofRtAttr+len(value)))
	message = binary.NativeEndian.AppendUint16(message, attribute)
	message = append(message, value...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errNetlink
	}
	buffer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buffer, 0)
	if err != nil || n < unix.SizeofNlMsghdr {
		return nil, errNetlink
	}
	answer := buffer[unix.SizeofNlMsghdr:min(n, int(binary.NativeEndian.Uint32(buffer)))]
	switch got := binary.NativeEndian.Uint16(buffer[4:]); {
	case got == answerKind:
		return answer, nil
	case got == unix.NLMSG_ERROR && len(answer) >= 4:
		return nil, syscall.Errno(-int32(binary.NativeEndian.Uint32(answer)))
	}
	return nil, errNetlink
}

// attributes iterates over the attributes behind the header of a message, whose lengths are
// rounded up to multiples of 4.
func attributes(data []byte) func(yield func(kind uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(data))
			if length < unix.SizeofRtAttr || length > len(data) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(data[2:]), data[unix.SizeofRtAttr:length]) {
				return
			}
			data = data[min((length+3)&^3, len(data)):]
		}
	}
}
