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

// attribute decides who caused an errno that a socket returned after its connection was
// begun, from the entry of its error queue, if there is one. to is the endpoint.
//
//   - A message from the endpoint's own address comes from the endpoint, also when that is an
//     address of this host: it refuses, or its firewall rejects.
//   - A message from another address of this host was made here: by its firewall, or because
//     a neighbour of its link does not answer. It is ours, with one exception: if there is no
//     router between, so that the neighbour that does not answer is the endpoint, the endpoint
//     is dead. A neighbour table that knows how to reach the endpoint, or has never looked for
//     it, shows that the message is the firewall's.
//   - A message from anywhere else is a router's or a firewall's on the way, which answers
//     for the endpoint: nobody reaches it that way, whatever the errno.
//
// In a Pod, its node and the gateway of its network are elsewhere, too. Nodes route for their
// Pods, and the one that says that an endpoint cannot be reached nearly always says so because
// the endpoint does not answer on the node's link, which is a death like any other. If it is
// the node that has lost its way, all endpoints fail at once, and the guard is there for that.
// Address translation on the way does not get in the way: it translates the packet that the
// message quotes back, and leaves the sender's address.
//
// Without an entry, an error of UDP or ICMP is ours: whatever others send is queued. For TCP
// it may be a RST, which leaves no trace but the errno, and which a firewall of this host can
// forge (reject with tcp reset); nobody can tell those apart. It may also be a message that
// arrived when the connection stood, or, up to Linux 5.8, any: then the route decides.
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

// AttributeError adds to an error of a socket who caused it. fd is the socket's descriptor. What is
// clear without looking into the error queue is left as it is.
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
