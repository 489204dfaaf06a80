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
	"errors"
	"net/netip"
	"syscall"

	"farpoint.dev/farpoint/probes/localnet"
)

// hostTables is what attribute asks of this host's network tables.
type hostTables interface {
	// isOwn reports whether the address is one of this host's, on any interface of the
	// network namespace.
	isOwn(netip.Addr) bool
	// nextHopOf returns what the route to an address leads to.
	nextHopOf(netip.Addr) localnet.NextHop
}

// kernelTables asks the kernel, after a failure only.
type kernelTables struct{}

func (kernelTables) isOwn(addr netip.Addr) bool { return localnet.IsOwn(addr) }

func (kernelTables) nextHopOf(addr netip.Addr) localnet.NextHop { return localnet.FindNextHop(addr) }

// attribute decides which host caused an errno that a socket returned after connect(), from the
// entry of its error queue, if there is one. to is the endpoint.
//
//   - A message from the endpoint's own address comes from the endpoint, also if that is an
//     address of this host: the endpoint refuses, or its firewall rejects.
//   - A message from another address of this host comes from its firewall, or from the kernel
//     because a neighbour on the link does not answer. This host is the cause, with one
//     exception: without a router in between, the silent neighbour is the endpoint itself, which
//     is dead. If the neighbour table has the endpoint's link-layer address, or no entry for the
//     endpoint, the message comes from the firewall.
//   - A message from anywhere else comes from a router or a firewall on the way: nobody reaches
//     the endpoint that way, whatever the errno.
//
// For a Pod, its node and the gateway of its network are such routers. When a node reports an
// endpoint as unreachable, nearly always the endpoint does not answer on the node's link, which is
// a death like any other. If the node itself has no route any more, all endpoints fail at once,
// which the guard detects. Address translation on the way does no harm: it translates the packet
// that the message quotes, and leaves the sender's address.
//
// Without an entry, this host caused an error of UDP or ICMP: messages from others are queued. For
// TCP it may be a RST, which leaves no trace except the errno; one that a firewall of this host
// has forged (reject with tcp reset) looks the same. It may also be a message that arrived on an
// established connection or, up to Linux 5.8, any message: then the route decides.
func attribute(entry *queuedError, errno syscall.Errno, stream bool, to netip.Addr, tables hostTables) *Error {
	switch {
	case entry != nil:
		return &Error{entry.errno, isLocal(*entry, to, tables)}
	case !stream:
		return &Error{errno, true}
	case isReset(errno):
		return &Error{errno, false}
	case isUnreachable(errno):
		nextHop := tables.nextHopOf(to)
		return &Error{errno, nextHop.NoRoute || nextHop.Unresolved && !nextHop.OnLink}
	}
	return &Error{errno, true}
}

// isLocal reports whether this host caused the entry.
func isLocal(entry queuedError, to netip.Addr, tables hostTables) bool {
	switch {
	case !entry.offender.IsValid():
		return true // SO_EE_ORIGIN_LOCAL
	case entry.offender == to:
		return false
	case !tables.isOwn(entry.offender):
		return false
	case entry.hostUnreachable():
		nextHop := tables.nextHopOf(to)
		return !nextHop.OnLink || !nextHop.Unresolved
	}
	return true
}

// isReset reports whether an errno of TCP stands for what the other end did.
func isReset(errno syscall.Errno) bool {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENOTCONN, syscall.ETIMEDOUT:
		return true
	}
	return false
}

// isUnreachable reports whether Linux makes the errno of an ICMP message (icmp_err_convert in
// net/ipv4/icmp.c, icmpv6_err_convert in net/ipv6/icmp.c).
func isUnreachable(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENONET, syscall.ENOPROTOOPT,
		syscall.EACCES, syscall.EPROTO, syscall.EOPNOTSUPP:
		return true
	}
	return false
}

// AttributeError adds to an error of a socket which host caused it. fd is the socket's descriptor.
// It returns an error unchanged if its cause is clear without the error queue.
func AttributeError(fd int, stream bool, to netip.Addr, err error) error {
	var (
		errno     syscall.Errno
		explained *Error
	)
	if !errors.As(err, &errno) || errors.As(err, &explained) || stream && isReset(errno) && errno != syscall.ECONNREFUSED {
		return err
	}
	return attributed(fd, stream, to, errno)
}

// attributed is attribute with what the kernel knows now.
func attributed(fd int, stream bool, to netip.Addr, errno syscall.Errno) error {
	to = to.Unmap()
	if entry, ok := takeQueuedError(fd); ok {
		return attribute(&entry, errno, stream, to, kernelTables{})
	}
	return attribute(nil, errno, stream, to, kernelTables{})
}
