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
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"farpoint.dev/farpoint/test/servers"
)

// network is a namespace of our own, on a link with a router in another one. Its commands
// run in our own: enter the router's by nsenter.
type network struct {
	t      *testing.T
	router string // the process that keeps the router's namespace
}

// inNamespace runs the test that calls it in a process of its own in a new network
// namespace. It reports true there, and false where the test is to end.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "FARPOINT_TEST_IN_NAMESPACE"
	if os.Getenv(inside) != "" {
		return true
	}
	servers.Program(t, "ip")
	test := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.timeout=2m")
	test.Env = append(os.Environ(), inside+"=true")
	test.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	output, err := test.CombinedOutput()
	if os.IsPermission(err) && os.Getenv("CI") != "true" {
		t.Skipf("no network namespace for this test (%v): run it as root", err)
	}
	if err != nil {
		t.Fatalf("in a network namespace: %v\n%s", err, output)
	}
	return false
}

// newNetwork is called in a namespace of the test's own.
func newNetwork(t *testing.T) *network {
	t.Helper()
	keeper := exec.Command("sleep", "120")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = keeper.Process.Kill()
		_ = keeper.Wait()
	})
	n := &network{t, fmt.Sprint(keeper.Process.Pid)}
	n.run("sh", "-c", "echo 0 0 > /proc/sys/net/ipv4/ping_group_range")
	n.run("ip", "link", "set", "lo", "up")
	n.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", n.router)
	n.run("ip", "address", "add", "192.0.2.2/24", "dev", "up0")
	n.run("ip", "-6", "address", "add", "2001:db8::2/64", "dev", "up0", "nodad")
	n.run("ip", "link", "set", "up0", "up")
	n.onRouter("ip", "link", "set", "lo", "up")
	n.onRouter("ip", "address", "add", "192.0.2.1/24", "dev", "down0")
	n.onRouter("ip", "-6", "address", "add", "2001:db8::1/64", "dev", "down0", "nodad")
	n.onRouter("ip", "link", "set", "down0", "up")
	return n
}

func (n *network) run(arguments ...string) {
	n.t.Helper()
	if output, err := exec.Command(arguments[0], arguments[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", strings.Join(arguments, " "), err, output)
	}
}

func (n *network) onRouter(arguments ...string) {
	n.t.Helper()
	n.run(append([]string{"nsenter", "--target", n.router, "--net"}, arguments...)...)
}

// becomes looks until the gateway is lost, or is not. It waits only as long as the kernel needs.
func (n *network) becomes(m *Monitor, want bool, what string) {
	n.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if m.look(n.t.Context()); gatewayLost(m) == want {
			return
		}
	}
	n.t.Fatalf("%s: the gateway is not lost: %t", what, want)
}

func TestMonitor_RealLinkAndRouter_AreSeen(t *testing.T) {
	for family, add := range map[string][]string{
		"IPv4":                {"ip", "route", "add", "default", "via", "192.0.2.1"},
		"IPv6":                {"ip", "-6", "route", "add", "default", "via", "2001:db8::1"},
		"IPv4 several hops":   {"ip", "route", "add", "default", "nexthop", "via", "192.0.2.1", "dev", "up0", "nexthop", "via", "192.0.2.1", "dev", "up0", "weight", "2"},
		"IPv4 through metric": {"ip", "route", "add", "default", "via", "192.0.2.1", "metric", "500"},
	} {
		t.Run(family, func(t *testing.T) {
			if !inNamespace(t) {
				return
			}
			n := newNetwork(t)
			m := New(Options{})
			n.becomes(m, false, "without a default route")
			n.run(add...)
			n.becomes(m, false, "with one")
			for addr, want := range map[string]bool{"192.0.2.9": true, "2001:db8::9": true, "198.51.100.1": false, "2001:db8:1::1": false} {
				if got := m.OnLink(netip.MustParseAddr(addr)); got != want {
					t.Errorf("%s is on link: %t", addr, got)
				}
			}
			n.onRouter("ip", "link", "set", "down0", "down")
			n.becomes(m, true, "without carrier")
			n.onRouter("ip", "link", "set", "down0", "up")
			n.becomes(m, false, "with carrier again")
		})
	}
}

// A router that is dead on a live link shows by its neighbour entry, once something is sent.
func TestMonitor_RealRouterIsDead_IsDown(t *testing.T) {
	for family, test := range map[string]struct{ route, remove, ask string }{
		"IPv4": {"ip route add default via 192.0.2.1", "ip address del 192.0.2.1/24 dev down0", "198.51.100.1"},
		"IPv6": {"ip -6 route add default via 2001:db8::1", "ip -6 address del 2001:db8::1/64 dev down0", "2001:db8:1::1"},
	} {
		t.Run(family, func(t *testing.T) {
			if !inNamespace(t) {
				return
			}
			n := newNetwork(t)
			n.run(strings.Fields(test.route)...)
			n.onRouter(strings.Fields(test.remove)...)
			m := New(Options{})
			n.becomes(m, false, "before anything is sent")
			// The neighbour table is asked by whatever is sent. Nobody answers.
			send(t, test.ask)
			n.becomes(m, true, "after something was sent")
		})
	}
}

// send sends a datagram.
func send(t *testing.T, to string) {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort(to, "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
}

// A gateway that goes silent behind an entry that the neighbour table believes shows by its
// echo replies.
func TestMonitor_RealGatewayStopsAnswering_IsDown(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	n := newNetwork(t)
	n.run("ip", "route", "add", "default", "via", "192.0.2.1")
	m := New(Options{Echo: true})
	// An answer may come too late on a busy machine.
	for looks := 0; !answering(m); looks++ {
		if looks == 100*minAnswers {
			t.Fatalf("the gateway answered no %d echo requests: %+v", minAnswers, m.echoes)
		}
		m.look(t.Context())
	}
	n.onRouter("sh", "-c", "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
	n.becomes(m, true, "with a gateway that stopped answering")
	n.onRouter("sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all")
	n.becomes(m, false, "with one that answers again")
}

// answering reports whether the gateway has answered as often as its silence needs to count.
func answering(m *Monitor) bool {
	for _, history := range m.echoes {
		return history.answers >= minAnswers
	}
	return false
}
