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
	"net/netip"
	"syscall"
	"testing"

	"farpoint.dev/farpoint/probes/localnet"

	"golang.org/x/sys/unix"

	"farpoint.dev/farpoint/probes"
)

// fakeTables has one address of its own, and knows what the route to everywhere leads to.
type fakeTables struct {
	own     netip.Addr
	nextHop localnet.NextHop
}

func (f fakeTables) isOwn(addr netip.Addr) bool            { return addr == f.own }
func (f fakeTables) nextHopOf(netip.Addr) localnet.NextHop { return f.nextHop }

func TestAttribute(t *testing.T) {
	own, endpoint, router := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.1")
	message := func(errno syscall.Errno, kind, code uint8, from netip.Addr) *queuedError {
		return &queuedError{errno, unix.SO_EE_ORIGIN_ICMP, kind, code, from}
	}
	var (
		reachable   = localnet.NextHop{}
		deadGateway = localnet.NextHop{Unresolved: true}
		deadOnLink  = localnet.NextHop{OnLink: true, Unresolved: true}
		aliveOnLink = localnet.NextHop{OnLink: true}
		noRoute     = localnet.NextHop{NoRoute: true}
	)
	local, refused, unreachable := probes.UnknownResult(probes.ReasonNetworkUnreachable), probes.FailureResult(probes.ReasonConnectionRefused), probes.FailureResult(probes.ReasonHostUnreachable)
	for _, test := range []struct {
		name    string
		entry   *queuedError
		errno   syscall.Errno
		stream  bool
		nextHop localnet.NextHop
		want    probes.Result
	}{
		{"endpoint refuses", message(syscall.ECONNREFUSED, 3, 3, endpoint), syscall.ECONNREFUSED, false, reachable, refused},
		{"endpoint prohibits", message(syscall.EHOSTUNREACH, 3, 13, endpoint), syscall.EHOSTUNREACH, true, reachable, unreachable},
		{"router has no route", message(syscall.ENETUNREACH, 3, 0, router), syscall.ENETUNREACH, true, reachable, unreachable},
		{"router says unknown host", message(syscall.EHOSTDOWN, 3, 7, router), syscall.EHOSTDOWN, true, reachable, unreachable},
		{"router says isolated host", message(syscall.ENONET, 3, 8, router), syscall.ENONET, true, reachable, unreachable},
		{"router knows no protocol", message(syscall.ENOPROTOOPT, 3, 2, router), syscall.ENOPROTOOPT, true, reachable, unreachable},
		{"router says what nobody knows", message(syscall.EPROTO, 12, 0, router), syscall.EPROTO, false, reachable, unreachable},
		{"router while our gateway is dead", message(syscall.EHOSTUNREACH, 3, 1, router), syscall.EHOSTUNREACH, true, deadGateway, unreachable},
		{"own firewall refuses", message(syscall.ECONNREFUSED, 3, 3, own), syscall.ECONNREFUSED, true, reachable, local},
		{"own firewall refuses a system call", message(syscall.EHOSTUNREACH, 3, 1, own), syscall.EPERM, false, reachable, local},
		{"own firewall, endpoint is a neighbour", message(syscall.EHOSTUNREACH, 3, 1, own), syscall.EHOSTUNREACH, true, aliveOnLink, local},
		{"own firewall prohibits a dead neighbour", message(syscall.EHOSTUNREACH, 3, 13, own), syscall.EHOSTUNREACH, true, deadOnLink, local},
		{"dead gateway", message(syscall.EHOSTUNREACH, 3, 1, own), syscall.EHOSTUNREACH, true, deadGateway, local},
		{"dead neighbour", message(syscall.EHOSTUNREACH, 3, 1, own), syscall.EHOSTUNREACH, true, deadOnLink, unreachable},
		{"own kernel", &queuedError{errno: syscall.EMSGSIZE, origin: unix.SO_EE_ORIGIN_LOCAL}, syscall.EMSGSIZE, false, reachable, local},
		{"system call, UDP", nil, syscall.EPERM, false, reachable, local},
		{"system call without memory", nil, syscall.ENOBUFS, true, reachable, probes.UnknownResult(probes.ReasonLocalResources)},
		{"RST", nil, syscall.ECONNREFUSED, true, deadGateway, refused},
		{"RST of a connection", nil, syscall.ECONNRESET, true, reachable, probes.FailureResult(probes.ReasonConnectionClosed)},
		{"retransmissions in vain", nil, syscall.ETIMEDOUT, true, reachable, probes.FailureResult(probes.ReasonTimeout)},
		{"message for a connection", nil, syscall.EHOSTUNREACH, true, reachable, unreachable},
		{"message for a connection, dead neighbour", nil, syscall.EHOSTUNREACH, true, deadOnLink, unreachable},
		{"message for a connection, dead gateway", nil, syscall.EHOSTUNREACH, true, deadGateway, local},
		{"message for a connection, lost route", nil, syscall.ENETUNREACH, true, noRoute, local},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := attribute(test.entry, test.errno, test.stream, endpoint, fakeTables{own, test.nextHop})
			if result := got.ProbeResult(); result != test.want {
				t.Errorf("got %+v, want %+v", result, test.want)
			}
		})
	}
}

// TestAttribute_EndpointIsOurOwnHost: an error from our own host is the endpoint's.
func TestAttribute_EndpointIsOurOwnHost(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	entry := &queuedError{syscall.ECONNREFUSED, unix.SO_EE_ORIGIN_ICMP, 3, 3, own}
	got := attribute(entry, syscall.ECONNREFUSED, false, own, fakeTables{own: own})
	if result := got.ProbeResult(); result != probes.FailureResult(probes.ReasonConnectionRefused) {
		t.Errorf("got %+v", result)
	}
}

// TestKernelTables asks the kernel of this machine.
func TestKernelTables(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if (kernelTables{}).isOwn(netip.MustParseAddr("198.51.100.1")) || !(kernelTables{}).isOwn(loopback) {
		t.Error("an address of somebody else is our own, or the loopback's is not")
	}
	if nextHop := (kernelTables{}).nextHopOf(loopback); nextHop.NoRoute || nextHop.Unresolved {
		t.Errorf("the way to ourselves is %+v", nextHop)
	}
}

func BenchmarkKernelTables(b *testing.B) {
	other := netip.MustParseAddr("198.51.100.1")
	b.ReportAllocs()
	for b.Loop() {
		kernelTables{}.isOwn(other)
	}
}

// BenchmarkKeepErrors is what each probe pays to learn who caused its errors.
func BenchmarkKeepErrors(b *testing.B) {
	fd, err := NewSocket(netip.MustParseAddrPort("127.0.0.1:80"))
	if err != nil {
		b.Fatal(err)
	}
	defer syscall.Close(fd)
	for b.Loop() {
		if err := keepErrors(fd, false); err != nil {
			b.Fatal(err)
		}
	}
}
