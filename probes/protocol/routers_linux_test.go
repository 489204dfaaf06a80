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

package protocol

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

// TestErrors_OfEachHostOnTheWay_AreAttributed probes endpoints behind a router, in network
// namespaces, while our own host, the router and the endpoints' host each fail in every way
// that they can.
func TestErrors_OfEachHostOnTheWay_AreAttributed(t *testing.T) {
	if !probetest.InNamespace(t) {
		return
	}
	network := newRoutedNetwork(t)
	var faults []networkFault
	faults = append(faults, ownFaults()...)
	faults = append(faults, routerFaults()...)
	faults = append(faults, endpointFaults()...)
	network.make(t, faults)
	for i := range faults {
		fault := &faults[i]
		for _, v6 := range []bool{false, true} {
			if at := fault.address(v6); at.IsValid() {
				t.Run(fmt.Sprintf("%s/%v", fault.name, at), func(t *testing.T) { fault.probe(t, at) })
			}
		}
	}
}

// networkFault is a way in which an endpoint is out of reach, and what its probes should
// come to.
type networkFault struct {
	name string
	// four and six are the endpoint's addresses; invalid if the fault exists in the other
	// family only.
	four, six netip.Addr
	// host is where the fault is made: own, router or endpoint. route is of the kind of
	// "unreachable" or "via 192.0.2.1"; policy is what nftables does in a hook. In a route
	// and a policy, GATEWAY stands for the address of nobody on the host's link.
	host, route, hook, policy string
	tcp, udp, icmp            probes.Result
	// timeout is ample if it is 0.
	timeout time.Duration
	// limited: the kernel of the router sends few messages to each address by IPv4
	// (net.ipv4.route.error_cost, which a namespace cannot change), so that probes may hear
	// nothing. We use an address of its own.
	limited bool
}

func (f *networkFault) address(v6 bool) netip.Addr {
	if v6 {
		return f.six
	}
	return f.four
}

// probe makes probes of every kind, each of TCP's by the loop and by a goroutine.
func (f *networkFault) probe(t *testing.T, at netip.Addr) {
	t.Parallel()
	host := at.String()
	if at.Is6() {
		host = "[" + host + "]"
	}
	timeout := f.timeout
	if timeout == 0 {
		timeout = probetest.Ample
	}
	expect := func(url string, want probes.Result) {
		t.Run(url[:strings.Index(url, ":")], func(t *testing.T) {
			t.Parallel()
			prober := prepare(t, Definition{URL: url})
			f.expect(t, url+" in a goroutine", want, timeout, func(timeout time.Duration) probes.Result { return probeOnce(t, prober, timeout) })
			if plaintext, ok := prober.(transport.LoopProber); ok && plaintext.LoopEligible() {
				f.expect(t, url+" by the loop", want, timeout, func(timeout time.Duration) probes.Result { return probeByScheduler(t, prober, timeout) })
			}
		})
	}
	for _, url := range []string{"tcp://%s:80", "http://%s:80/"} {
		expect(fmt.Sprintf(url, host), f.tcp)
	}
	if f.hook == "forward" || f.host == "own" && f.route == "unreachable" { // the others differ in nothing that these look at
		for _, url := range []string{"https://%s:80/", "tls://%s:80", "grpc://%s:80", "redis://%s:80"} {
			expect(fmt.Sprintf(url, host), f.tcp)
		}
	}
	expect(fmt.Sprintf("dns://%s:53/www.example", host), f.udp)
	expect(fmt.Sprintf("icmp://%s", host), f.icmp)
}

// expect fails the test if a probe comes to anything else than it should. Where messages may
// be missing it is repeated.
func (f *networkFault) expect(t *testing.T, what string, want probes.Result, timeout time.Duration, probe func(time.Duration) probes.Result) {
	t.Helper()
	if !f.limited {
		if got := probe(timeout); got != want {
			t.Errorf("%s: got %v, want %v", what, describe(got), describe(want))
		}
		return
	}
	probetest.Eventually(t, what+" comes to "+describe(want), func() bool {
		got := probe(100 * time.Millisecond)
		if got != want && got != timedOut {
			t.Errorf("%s: got %v, want %v", what, describe(got), describe(want))
		}
		return got == want
	})
}

func describe(result probes.Result) string {
	if result.Outcome == probes.Success {
		return "success"
	}
	return fmt.Sprintf("%s (%d)", result.Reason, result.Outcome)
}

// everywhere makes probes of all kinds come to the same.
func (f networkFault) everywhere(result probes.Result) networkFault {
	f.tcp, f.udp, f.icmp = result, result, result
	return f
}

var (
	localFault, hostUnreachable = probes.UnknownResult(probes.ReasonNetworkUnreachable), probes.FailureResult(probes.ReasonHostUnreachable)
	timedOut, connectionRefused = probes.FailureResult(probes.ReasonTimeout), probes.FailureResult(probes.ReasonConnectionRefused)
)

// rejects are nftables' ways to reject a packet, and the result if another host does so.
var rejects = []struct {
	kind   string
	v6     bool
	result probes.Result
}{
	{"icmp type host-unreachable", false, hostUnreachable},
	{"icmp type net-unreachable", false, hostUnreachable},
	{"icmp type prot-unreachable", false, hostUnreachable},
	{"icmp type port-unreachable", false, connectionRefused},
	{"icmp type net-prohibited", false, hostUnreachable},
	{"icmp type host-prohibited", false, hostUnreachable},
	{"icmp type admin-prohibited", false, hostUnreachable},
	{"icmpv6 type no-route", true, hostUnreachable},
	{"icmpv6 type admin-prohibited", true, hostUnreachable},
	{"icmpv6 type addr-unreachable", true, hostUnreachable},
	{"icmpv6 type port-unreachable", true, connectionRefused},
	{"icmpv6 type policy-fail", true, hostUnreachable},
	{"icmpv6 type reject-route", true, hostUnreachable},
}

// rejecting are faults of a host that rejects packets; result is what comes of each kind.
func rejecting(host, hook string, result func(probes.Result) probes.Result) []networkFault {
	var faults []networkFault
	for _, reject := range rejects {
		fault := networkFault{name: host + " rejects with " + reject.kind, host: host, hook: hook, policy: "reject with " + reject.kind}
		if reject.v6 {
			fault.six = nextEndpoint(true)
		} else {
			fault.four = nextEndpoint(false)
		}
		faults = append(faults, fault.everywhere(result(reject.result)))
	}
	return faults
}

// endpoints counts the addresses that have been given away.
var endpoints byte

// nextEndpoint is an address behind the endpoints' host that no other fault has.
func nextEndpoint(v6 bool) netip.Addr {
	endpoints++
	if v6 {
		return netip.AddrFrom16([16]byte{0xfd, 0, 0, 2, 15: endpoints})
	}
	return netip.AddrFrom4([4]byte{198, 51, 100, endpoints})
}

// behind is a fault that has an endpoint of each family.
func behind(fault networkFault) networkFault {
	fault.four, fault.six = nextEndpoint(false), nextEndpoint(true)
	return fault
}

// ownFaults are those of the operator's own host.
func ownFaults() []networkFault {
	address := netip.MustParseAddr
	faults := rejecting("own", "output", func(probes.Result) probes.Result { return localFault })
	for _, kind := range []string{"unreachable", "prohibit", "blackhole"} {
		fault := networkFault{name: "own route of the type " + kind, host: "own", route: kind}
		faults = append(faults, behind(fault).everywhere(localFault))
	}
	// There is no other route, which IPv6 would take if a gateway is dead.
	gateway := networkFault{name: "own gateway is dead", host: "own", route: "via GATEWAY", four: nextEndpoint(false), six: address("fd00:ffff::3")}
	throw := networkFault{name: "own route of the type throw", host: "own", route: "throw", four: nextEndpoint(false), six: address("fd00:ffff::2")}
	noRoute := networkFault{name: "own host without a route", four: address("203.0.113.1"), six: address("fd00:ffff::1")}
	neighbour := networkFault{name: "own link without the endpoint", four: address("10.0.0.77"), six: address("fd00::77")}
	direct := networkFault{name: "own link without the endpoint, by a route", host: "own", route: "dev eth0"}
	// The router answers on our link, so that it is our firewall that says it does not.
	present4 := networkFault{name: "own host rejects for a neighbour", host: "own", hook: "output",
		policy: "reject with icmp type host-unreachable", four: address("10.0.0.4")}
	present6 := networkFault{name: "own host rejects for a neighbour", host: "own", hook: "output",
		policy: "reject with icmpv6 type addr-unreachable", six: address("fd00::4")}
	// Nobody can tell our own RST from the endpoint's, nor our own silence, where the system
	// call does not say so.
	reset := networkFault{name: "own host resets", host: "own", hook: "output", policy: "meta l4proto tcp reject with tcp reset",
		tcp: connectionRefused, udp: connectionRefused, icmp: probes.SuccessResult()}
	drop4 := networkFault{name: "own host drops", host: "own", hook: "output", policy: "drop", timeout: probetest.Brief,
		four: nextEndpoint(false), tcp: timedOut, udp: localFault, icmp: localFault}
	drop6 := networkFault{name: "own host drops", host: "own", hook: "output", policy: "drop", timeout: probetest.Brief,
		six: nextEndpoint(true), tcp: timedOut, udp: localFault, icmp: timedOut}
	return append(faults,
		gateway.everywhere(localFault), throw.everywhere(localFault), noRoute.everywhere(localFault), neighbour.everywhere(hostUnreachable), behind(direct).everywhere(hostUnreachable),
		present4.everywhere(localFault), present6.everywhere(localFault), behind(reset), drop4, drop6)
}

// routerFaults are those of a router on the way.
func routerFaults() []networkFault {
	address := netip.MustParseAddr
	faults := rejecting("router", "forward", func(result probes.Result) probes.Result { return result })
	for _, kind := range []string{"unreachable", "prohibit", "throw", "via GATEWAY"} {
		fault := networkFault{name: "router's route of the type " + kind, host: "router", route: kind, limited: true}
		faults = append(faults, behind(fault).everywhere(hostUnreachable))
	}
	blackhole := networkFault{name: "router's route of the type blackhole", host: "router", route: "blackhole", timeout: probetest.Brief}
	noRoute := networkFault{name: "router without a route", limited: true, four: address("198.51.102.1"), six: address("fd00:4::1")}
	neighbour := networkFault{name: "router's link without the endpoint", four: address("10.1.0.77"), six: address("fd00:1::77")}
	circle := networkFault{name: "routers that send packets in a circle", four: address("198.51.101.1"), six: address("fd00:3::1")}
	drop := networkFault{name: "router drops", host: "router", hook: "forward", policy: "drop", timeout: probetest.Brief}
	reset := networkFault{name: "router resets", host: "router", hook: "forward", policy: "meta l4proto tcp reject with tcp reset",
		tcp: connectionRefused, udp: connectionRefused, icmp: probes.SuccessResult()}
	return append(faults,
		behind(blackhole).everywhere(timedOut), noRoute.everywhere(hostUnreachable), neighbour.everywhere(hostUnreachable),
		circle.everywhere(hostUnreachable), behind(drop).everywhere(timedOut), behind(reset))
}

// endpointFaults are those of the endpoints' host, which finally is well.
func endpointFaults() []networkFault {
	address := netip.MustParseAddr
	faults := rejecting("endpoint", "input", func(result probes.Result) probes.Result { return result })
	drop := networkFault{name: "endpoint drops", host: "endpoint", hook: "input", policy: "drop", timeout: probetest.Brief}
	closed := networkFault{name: "endpoint where nobody listens", tcp: connectionRefused, udp: connectionRefused, icmp: probes.SuccessResult()}
	well := networkFault{name: "endpoint that is well", four: address("10.1.0.2"), six: address("fd00:1::2")}
	return append(faults, behind(drop).everywhere(timedOut), behind(closed), well.everywhere(probes.SuccessResult()))
}

// routedNetwork is our own host, a router and the endpoints' host, by the names that
// networkFault has for them.
type routedNetwork map[string]*testNamespace

// newRoutedNetwork makes a network in which everything works. Our own host is the namespace
// of this process.
func newRoutedNetwork(t *testing.T) routedNetwork {
	t.Helper()
	servers.Program(t, "nft")
	network := routedNetwork{"own": currentNamespace(t), "router": newTestNamespace(t), "endpoint": newTestNamespace(t)}
	own, router, endpoint := network["own"], network["router"], network["endpoint"]
	own.run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", router.path())
	router.run(t, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", endpoint.path())
	for _, item := range network {
		item.sysctl(t, "ipv4/icmp_ratelimit", "0")
		item.sysctl(t, "ipv4/icmp_msgs_per_sec", "1000000")
		item.sysctl(t, "ipv4/icmp_msgs_burst", "100000")
		item.sysctl(t, "ipv6/icmp/ratelimit", "0")
		item.sysctl(t, "ipv6/conf/all/forwarding", "1")
		item.sysctl(t, "ipv6/conf/eth0/forwarding", "1")
		item.sysctl(t, "ipv4/ping_group_range", "0 0")
	}
	own.sysctl(t, "ipv6/conf/all/forwarding", "0")
	router.sysctl(t, "ipv4/ip_forward", "1")
	endpoint.sysctl(t, "ipv4/ip_forward", "1")
	own.ip(t, "address add 10.0.0.2/24 dev eth0", "address add fd00::2/64 dev eth0 nodad", "link set eth0 up")
	router.ip(t, "address add 10.0.0.1/24 dev eth0", "address add fd00::1/64 dev eth0 nodad",
		"address add 10.0.0.4/24 dev eth0", "address add fd00::4/64 dev eth0 nodad",
		"address add 10.1.0.1/24 dev eth1", "address add fd00:1::1/64 dev eth1 nodad", "link set eth0 up", "link set eth1 up")
	endpoint.ip(t, "address add 10.1.0.2/24 dev eth0", "address add fd00:1::2/64 dev eth0 nodad", "link set eth0 up")
	// 198.51.100.0/24 and fd00:2::/64 lead to the endpoints' host, which has all of them;
	// 198.51.101.0/24 and fd00:3::/64 lead back from there; nobody has 198.51.102.0/24.
	own.ip(t, "route add 10.1.0.0/24 via 10.0.0.1", "route add 198.51.100.0/22 via 10.0.0.1",
		"route add fd00:1::/64 via fd00::1", "route add fd00:2::/64 via fd00::1", "route add fd00:3::/32 via fd00::1", "route add fd00:4::/32 via fd00::1")
	router.ip(t, "route add 198.51.100.0/24 via 10.1.0.2", "route add fd00:2::/64 via fd00:1::2",
		"route add 198.51.101.0/24 via 10.1.0.2", "route add fd00:3::/32 via fd00:1::2")
	endpoint.ip(t, "route add local 198.51.100.0/24 dev lo", "route add local fd00:2::/64 dev lo",
		"route add default via 10.1.0.1", "route add ::/0 via fd00:1::1")
	for _, device := range []string{"ipv4/neigh/eth0", "ipv6/neigh/eth0"} {
		for _, item := range []*testNamespace{own, router} {
			item.sysctl(t, device+"/retrans_time_ms", "50")
		}
	}
	router.sysctl(t, "ipv4/neigh/eth1/retrans_time_ms", "50")
	router.sysctl(t, "ipv6/neigh/eth1/retrans_time_ms", "50")
	endpoint.serve(t, "10.1.0.2")
	endpoint.serve(t, "fd00:1::2")
	probetest.Eventually(t, "the hosts have found each other", func() bool {
		return prepareAndProbe(t, "icmp://10.1.0.2") == probes.SuccessResult() && prepareAndProbe(t, "icmp://[fd00:1::2]") == probes.SuccessResult()
	})
	return network
}

func prepareAndProbe(t *testing.T, url string) probes.Result {
	return probeOnce(t, prepare(t, Definition{URL: url}), 200*time.Millisecond)
}

// make makes the faults.
func (n routedNetwork) make(t *testing.T, faults []networkFault) {
	t.Helper()
	routes, rules := map[string][]string{}, map[string][]string{}
	for i := range faults {
		fault := &faults[i]
		for _, v6 := range []bool{false, true} {
			at := fault.address(v6)
			if !at.IsValid() {
				continue
			}
			family, nobody := "ip", map[string]string{"own": "10.0.0.99", "router": "10.1.0.99"}[fault.host]
			if v6 {
				family, nobody = "ip6", map[string]string{"own": "fd00::99", "router": "fd00:1::99"}[fault.host]
			}
			if route := strings.ReplaceAll(fault.route, "GATEWAY", nobody); strings.Contains(route, " ") {
				routes[fault.host] = append(routes[fault.host], fmt.Sprintf("route add %s %s", at, route))
			} else if route != "" {
				routes[fault.host] = append(routes[fault.host], fmt.Sprintf("route add %s %s", route, at))
			}
			if fault.limited && !v6 {
				own := fmt.Sprintf("10.0.0.%d", 100+len(routes["own"]))
				routes["own"] = append(routes["own"], fmt.Sprintf("address add %s/24 dev eth0", own), fmt.Sprintf("route add %s via 10.0.0.1 src %s", at, own))
			}
			if fault.policy != "" {
				rules[fault.host+" "+fault.hook] = append(rules[fault.host+" "+fault.hook], fmt.Sprintf("%s daddr %s %s", family, at, fault.policy))
			}
		}
	}
	for host, commands := range routes {
		n[host].ip(t, commands...)
	}
	for key, lines := range rules {
		host, hook, _ := strings.Cut(key, " ")
		n[host].nft(t, fmt.Sprintf("table inet faults {\nchain faults {\ntype filter hook %s priority 0\n%s\n}\n}\n", hook, strings.Join(lines, "\n")))
	}
}
